"""The commands about verification, a module each."""
