"""The ticket: its facts, its writes, its own checks and its shape."""
