"""Workflows that stand: each does its round again and again, in one run that operators see."""

from contracts.command import Message

INTERVAL_CHANGED = "interval.changed"
"""The signal that gives a standing workflow another interval, in seconds."""


class Rounds(Message):
    """How such a workflow starts; one that does not go on does a single round and ends."""

    every_seconds: int = 60
    goes_on: bool = False


def standing_id(workflow: str) -> str:
    """Return the id of the one that stands."""
    return f"dispatch-{workflow}"
