"""A case: one command with everything its tool may judge, and how tools declare themselves."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import pairwise
from types import MappingProxyType
from typing import Any, Generic, TypeVar
from uuid import UUID

from policy.codes import Code
from policy.command.effects import Decision, Denial, Effects
from policy.command.message import Command
from policy.command.writes import Write
from policy.model import Actor, State, Ticket
from policy.rules.bundle import Bundle, ToolRule
from policy.ticket.facts import Facts, Need
from policy.ticket.shape import ticket_shape
from policy.values import PayloadModel

P = TypeVar("P", bound=PayloadModel)
_NO_FIELDS: Mapping[str, Any] = MappingProxyType({})


def _accepted(_bundle: Bundle, _payload: PayloadModel) -> Denial | None:
    return None


@dataclass(frozen=True)
class Case(Generic[P]):
    """One command to judge. Everything a tool's rules read is here."""

    bundle: Bundle
    rule: ToolRule
    command: Command
    facts: Facts
    payload: P

    @property
    def ticket(self) -> Ticket:
        """The locked ticket of a ticket tool."""
        if self.facts.ticket is None:
            raise LookupError(f"{self.command.tool} was judged without a ticket")
        return self.facts.ticket

    @property
    def actor(self) -> Actor:
        """Who acts."""
        return self.command.actor

    @property
    def request_uuid(self) -> UUID:
        """The idempotency key as stored."""
        return UUID(self.command.request_id)

    def changed(self, **fields: Any) -> Ticket:  # noqa: ANN401  column values
        """Return the ticket after the command: the fields replaced, the version one higher."""
        version = self.ticket.version + 1
        return self.ticket.model_copy(
            update={"version": version, "updated_at": self.facts.now, **fields}
        )

    def shape(self, ticket: Ticket) -> dict[str, Any]:
        """Return T for `ticket` at the instant of the commit."""
        return ticket_shape(self.bundle, ticket, self.facts.now, self.facts.clock)

    def moved(
        self,
        *states: State,
        audit: dict[str, Any] | None = None,
        writes: tuple[Write, ...] = (),
        body: Callable[[Ticket], dict[str, Any]] | None = None,
        fields: Mapping[str, Any] = _NO_FIELDS,
    ) -> Effects:
        """Return the effects of walking through `states`, with `fields` replaced on the way.

        A step that stays where it is makes no transition; two or more transitions are listed in
        the audit as `derived_transitions`.
        """
        ticket = self.changed(state=states[-1], **fields)
        path = (self.ticket.state, *states)
        pairs = tuple((source, target) for source, target in pairwise(path) if source != target)
        payload = dict(audit or {})
        if len(pairs) > 1:
            payload["derived_transitions"] = [f"{a}->{b}" for a, b in pairs]
        return Effects(
            ticket=ticket,
            before=self.ticket.state,
            pairs=pairs,
            audit=payload,
            writes=writes,
            body=body(ticket) if body else None,
        )

    def recorded(
        self, audit: dict[str, Any], writes: tuple[Write, ...], body: dict[str, Any] | None = None
    ) -> Effects:
        """Return effects that change neither state nor version."""
        return Effects(
            ticket=self.ticket, before=self.ticket.state, audit=audit, writes=writes, body=body
        )

    def wrong_state(self) -> Denial:
        """Return the denial of a state outside the tool's from-list (contract 7.0)."""
        result = self.rule.result_state
        return self.illegal(to_state=None if result is None else result.value)

    def illegal(self, to_state: str | None) -> Denial:
        """Return the denial of a move to `to_state` from the present state."""
        return Denial(
            code=Code.INVALID_STATE_TRANSITION,
            details={
                "from_state": self.ticket.state.value,
                "allowed_from_states": [state.value for state in self.rule.from_states or ()],
                "to_state": to_state,
            },
        )


@dataclass(frozen=True)
class CommandTool(Generic[P]):
    """What a tool's module contributes: its payload, the facts it needs and its rules.

    `check` refuses a payload that the model accepts but this installation's bundle does not.
    """

    payload: type[P]
    decide: Callable[[Case[P]], Decision]
    needs: frozenset[Need] = frozenset()
    wrong_state: Callable[[Case[P]], Denial] = Case.wrong_state
    check: Callable[[Bundle, P], Denial | None] = _accepted
