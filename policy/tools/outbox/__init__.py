"""The commands about messages to deliver, a module each."""
