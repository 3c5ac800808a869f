"""How calls find their ticket, and how its workflow starts."""
