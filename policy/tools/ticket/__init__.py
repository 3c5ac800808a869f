"""The commands about tickets, a module each."""
