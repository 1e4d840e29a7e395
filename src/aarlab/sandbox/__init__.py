"""The walls: what a researcher or a method runs in. Nothing in here knows what it runs."""
