"""The loop of every kind of workflow: one command at a time."""
