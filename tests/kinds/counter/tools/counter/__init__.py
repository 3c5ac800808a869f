"""The commands about counters, a module each."""
