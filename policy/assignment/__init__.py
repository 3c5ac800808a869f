"""Who may do a visit, and in which order they are proposed."""
