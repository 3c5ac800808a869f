"""`dispatch backup` and `dispatch restore`: the whole database in one file, and back."""
