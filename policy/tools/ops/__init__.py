"""The commands about operators, a module each."""
