"""All that a method may import: the task, heads, models, method blocks, and the lab's client."""
