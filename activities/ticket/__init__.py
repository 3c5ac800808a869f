"""The ticket in activities: what a command opens, asks for and leaves behind."""
