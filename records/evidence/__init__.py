"""Evidence bytes: accepted, inspected, kept and decoded."""
