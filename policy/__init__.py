"""The pure core: what a command may do, decided from data and facts, without any I/O."""
