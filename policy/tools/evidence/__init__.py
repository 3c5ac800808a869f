"""The commands about uploads of evidence, a module each."""
