"""What a ticket's clock follows from: its contract, its site's hours, its moves, adjustments."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

from policy.clock.ledger import Pause
from policy.clock.timeline import ALWAYS_OPEN, SiteClock, Timeline, site_clock
from policy.model import Frozen, State, Ticket
from policy.rules.sla import STANDARD, SlaContract, SlaRules


class Move(NamedTuple):
    """A recorded transition: the state it led to, and when."""

    state: State
    at: datetime


class ClockFacts(Frozen):
    """What is recorded. `hours` is the text of `sites.hours_json`; moves are oldest first."""

    contract: str
    hours: str
    timezone: str
    country: str
    region: str | None
    moves: tuple[Move, ...] = ()
    adjustments: tuple[Pause, ...] = ()

    def moves_of(self, ticket: Ticket) -> Sequence[Move]:
        """Return the moves up to the ticket's state, which may be newer than what is recorded."""
        if self.moves and self.moves[-1].state is ticket.state:
            return self.moves
        return (*self.moves, Move(ticket.state, ticket.updated_at))


def read_clock(stored: Mapping[str, Any] | None) -> ClockFacts | None:
    """Return the facts that the database function `sla_facts` answered."""
    return None if stored is None else ClockFacts.model_validate(stored)


@dataclass(frozen=True)
class TicketClock:
    """How a ticket's time counts. `problems` tell what could not be followed."""

    name: str
    contract: SlaContract
    timeline: Timeline = ALWAYS_OPEN
    pauses: tuple[Pause, ...] = ()
    problems: tuple[str, ...] = ()


def clock_of(rules: SlaRules, ticket: Ticket, facts: ClockFacts | None) -> TicketClock:
    """Return the clock of a ticket; without facts it runs under the standard contract.

    So it does, telling so, under a contract that the bundle does not have. What was recorded to
    pause the clock pauses none that is never paused.
    """
    name = STANDARD if facts is None else facts.contract
    contract = rules.contracts.get(name)
    if facts is None or contract is None:
        unknown = () if contract else (f"unknown contract {name}, counted as {STANDARD}",)
        return TicketClock(STANDARD, rules.contracts[STANDARD], problems=unknown)
    site = SiteClock(ALWAYS_OPEN)
    if contract.calendar == "site":
        site = site_clock(facts.hours, facts.timezone, facts.country, facts.region)
    pauses, problems = facts.adjustments, site.problems
    if name == STANDARD and pauses:
        pauses, problems = (), (*problems, f"adjustments do not count under {STANDARD}")
    stood = tuple(_stood(contract, facts.moves_of(ticket)))
    return TicketClock(name, contract, site.timeline, (*stood, *pauses), problems)


def _stood(contract: SlaContract, moves: Sequence[Move]) -> Iterator[Pause]:
    """Yield how long the ticket rested in each state that pauses the clock."""
    ends = (*(move.at for move in moves[1:]), None)
    for move, end in zip(moves, ends, strict=True):
        if move.state in contract.pauses:
            yield Pause(move.at, end, contract.pauses[move.state])
