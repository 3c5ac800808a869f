"""A case: one command with everything its tool may judge, and how tools declare themselves."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar
from uuid import UUID

from policy.command.effects import Decision, Denial
from policy.command.facts import Facts
from policy.command.message import Command
from policy.model import Actor
from policy.rules.bundle import Bundle, ToolRule
from policy.values import PayloadModel

F = TypeVar("F", bound=Facts)
P = TypeVar("P", bound=PayloadModel)
C = TypeVar("C")


def accepted(_bundle: Bundle, _payload: PayloadModel) -> Denial | None:
    """Refuse nothing that the payload's model accepts."""
    return None


@dataclass(frozen=True)
class Case(Generic[F, P]):
    """One command to judge. Everything a tool's rules read is here."""

    bundle: Bundle
    rule: ToolRule
    command: Command
    facts: F
    payload: P

    @property
    def actor(self) -> Actor:
        """Who acts."""
        return self.command.actor

    @property
    def request_uuid(self) -> UUID:
        """The idempotency key as stored."""
        return UUID(self.command.request_id)


@dataclass(frozen=True)
class CommandTool(Generic[C, P]):
    """What a tool's module contributes: its payload, the facts it needs and its rules.

    Each of `needs` is named after the method that gathers it. `check` refuses a payload that the
    model accepts but this installation's bundle does not.
    """

    payload: type[P]
    decide: Callable[[C], Decision]
    needs: frozenset[str] = frozenset()
    check: Callable[[Bundle, P], Denial | None] = accepted
