"""The commands about forced steps of a dispatcher, a module each."""
