"""Drills."""

DRILLS = {}
