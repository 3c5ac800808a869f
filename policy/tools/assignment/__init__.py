"""The commands about assignments, a module each."""
