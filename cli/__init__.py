"""The `dispatch` command: one module per noun."""
