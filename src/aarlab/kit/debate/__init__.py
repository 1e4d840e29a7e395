"""The evidence game of debate: what a debater, a judge and a protocol are given, and strategies to build them from."""
