"""The machine: a command with its facts in, effects or a denial out, whatever it is about."""
