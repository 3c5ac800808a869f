"""The commands about escalations, a module each."""
