"""Workflows: they order, wait and remember; they decide nothing by policy."""
