"""A ticket's case: what its tools judge, and the effects and denials they have in common."""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from itertools import pairwise
from types import MappingProxyType
from typing import Any, Generic, TypeVar

from policy.codes import Code
from policy.command.case import Case, CommandTool
from policy.command.effects import Denial
from policy.command.writes import Write
from policy.model import State, Ticket
from policy.rules.vocabulary import Note, noted
from policy.ticket.effects import TicketEffects
from policy.ticket.facts import TicketFacts
from policy.ticket.shape import ticket_shape
from policy.values import PayloadModel

P = TypeVar("P", bound=PayloadModel)
_NOTHING: Mapping[str, Any] = MappingProxyType({})


@dataclass(frozen=True)
class TicketCase(Case[TicketFacts, P], Generic[P]):
    """One command on a ticket, or of a tenant, to judge."""

    @property
    def ticket(self) -> Ticket:
        """The locked ticket of a ticket tool."""
        if self.facts.ticket is None:
            raise LookupError(f"{self.command.tool} was judged without a ticket")
        return self.facts.ticket

    def changed(self, **fields: Any) -> Ticket:  # noqa: ANN401  column values
        """Return the ticket after the command: the fields replaced, the version one higher."""
        version = self.ticket.version + 1
        return self.ticket.model_copy(
            update={"version": version, "updated_at": self.facts.now, **fields}
        )

    def shape(self, ticket: Ticket) -> dict[str, Any]:
        """Return T for `ticket` at the instant of the commit."""
        return ticket_shape(self.bundle, ticket, self.facts.now, self.facts.clock)

    def told(self, warnings: Collection[Note]) -> Callable[[Ticket], dict[str, Any]]:
        """Return what makes T of a ticket, with the warnings where there are any."""
        return lambda ticket: noted(self.shape(ticket), warnings)

    def moved(
        self,
        *states: State,
        audit: dict[str, Any] | None = None,
        writes: tuple[Write, ...] = (),
        body: Callable[[Ticket], dict[str, Any]] | None = None,
        fields: Mapping[str, Any] = _NOTHING,
        counted: Mapping[str, Any] = _NOTHING,
    ) -> TicketEffects:
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
        return TicketEffects(
            ticket=ticket,
            before=self.ticket.state,
            pairs=pairs,
            audit=payload,
            writes=writes,
            body=body(ticket) if body else None,
            counted=counted,
        )

    def recorded(
        self, audit: dict[str, Any], writes: tuple[Write, ...], body: dict[str, Any] | None = None
    ) -> TicketEffects:
        """Return effects that change neither state nor version."""
        return TicketEffects(
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
                **self.ways_on(),
            },
        )

    def ways_on(self) -> dict[str, Any]:
        """Return what leads on from the present state: this role's tools, and whose the others are.

        A tool that is not this role's is not named to it, as it is of no use there.
        """
        ways = self.bundle.ways_on(self.ticket.state)
        role = self.actor.actor_role
        mine = [name for name, rule in ways.items() if role in rule.roles]
        others = {each for name, rule in ways.items() if name not in mine for each in rule.roles}
        return {"next_tools": mine, "next_roles": sorted(others - {role})}


@dataclass(frozen=True)
class TicketTool(CommandTool[TicketCase[P], P], Generic[P]):
    """A tool about tickets, which may refuse a wrong state in its own words."""

    wrong_state: Callable[[TicketCase[P]], Denial] = TicketCase.wrong_state
