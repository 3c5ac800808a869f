"""The commands about visits and holds, a module each."""
