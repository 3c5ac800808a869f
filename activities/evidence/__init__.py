"""Evidence in activities: its rows, its store, its upkeep."""
