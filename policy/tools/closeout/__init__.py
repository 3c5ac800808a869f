"""The commands about closeout, a module each."""
