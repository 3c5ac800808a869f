"""One command for each tool of the registry."""
