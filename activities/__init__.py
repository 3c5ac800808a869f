"""Activities: all I/O of a ticket; they gather facts, let the policy decide and record it."""
