"""The red team's campaigns: each attack played against the lab's real code, and judged by what it gained."""
