"""The commands about technicians on site, a module each."""
