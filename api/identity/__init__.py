"""Who calls: tokens, keys and development headers."""
