"""Commands about what is recorded: its proof, its keys and its evidence."""
