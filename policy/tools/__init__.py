"""One module per command, named after it: its payload, the facts it needs, its rules."""
