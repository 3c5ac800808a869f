"""How a kind of subject is reached: how a call finds it, and where its commands are sent."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol
from uuid import UUID

from temporalio.common import TypedSearchAttributes

from api.command.call import Call, Found
from contracts.command import Message
from policy.command.effects import Denial
from policy.command.message import Command, Subject
from policy.model import Actor
from policy.values import PayloadModel


class Address(Protocol):
    """How calls about one kind of subject find it."""

    def subject_of(self, call: Call, actor: Actor, key: UUID, payload: PayloadModel) -> Subject:
        """Return what the call is about; equal calls under one key are about the same."""

    async def denial(
        self, call: Call, actor: Actor, found: Found, payload: PayloadModel
    ) -> Denial | None:
        """Return why it is out of this actor's reach (contract 3.1, steps 8 and 9), or None."""


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
