"""The demo: one ticket from creation to closure, step by step."""
