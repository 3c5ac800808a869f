"""How a kind of subject is found by the calls about it."""

from typing import Protocol
from uuid import UUID

from api.command.call import Call, Found
from policy.command.effects import Denial
from policy.command.message import Subject
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
