"""Where commands go: which workflow owns subjects of a kind, and how it starts."""

from collections.abc import Callable
from dataclasses import dataclass

from temporalio.common import TypedSearchAttributes

from contracts.command import Message
from policy.command.message import Command


@dataclass(frozen=True)
class Destination:
    """Which workflow owns subjects of a kind, how it starts, and what operators see from there.

    `summary` is its line in the Temporal UI. `attributes` are those of the first command's subject.
    """

    workflow: str
    task_queue: str
    start: Callable[[Command], Message]
    attributes: Callable[[Command], TypedSearchAttributes | None]
    summary: Callable[[Command], str | None]
