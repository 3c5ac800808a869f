"""What a ticket's audit rows say happened, compared with its other rows."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from itertools import chain, pairwise
from typing import Any, NamedTuple, TypeAlias

from policy.audit.chain import TABLE as AUDIT_EVENTS
from policy.audit.chain import ChainCheck, Event, Fault
from policy.values import format_datetime, parse_datetime

TICKETS = "tickets"
TRANSITIONS = "ticket_state_transitions"
_MILLISECOND = timedelta(milliseconds=1)

Row: TypeAlias = Mapping[str, Any]
Pair: TypeAlias = tuple[str | None, str]


class Lost(NamedTuple):
    """A transition that an audit row calls for, and that no row is."""

    event: Event
    pair: Pair


class Trail:
    """The audit rows of one ticket, in the order of seq.

    Rows that broke the chain prove nothing about others: they are left out of every comparison.
    `torn` tells that rows are known, and reported, to be gone.
    """

    def __init__(self, ticket_id: str, *, torn: bool = False) -> None:
        self.ticket_id = ticket_id
        self.faults: list[Fault] = []
        self._torn = torn
        self._events: list[Event] = []
        self._chain = ChainCheck()

    def add(self, event: Event) -> None:
        """Take the next row."""
        self._events.append(event)
        for fault in self._chain.add(event):
            if fault.row_id is not None or not self._torn:
                self.faults.append(fault)

    @property
    def suspects(self) -> frozenset[str]:
        """The ids of the rows that broke the chain."""
        return frozenset(fault.row_id for fault in self.faults if fault.row_id is not None)

    @property
    def is_torn(self) -> bool:
        """Whether rows are missing, or broken: then something that is not recorded may be true."""
        return self._torn or bool(self.faults)

    @property
    def begins_at_creation(self) -> bool:
        """Whether the ticket was created by a command; an imported one has unrecorded rows."""
        if not self._events:
            return False
        first = self._events[0]
        return first["before_state"] is None and first["after_state"] is not None

    @property
    def events(self) -> list[Event]:
        """The rows that are as they were written."""
        if not self.faults:
            return self._events
        suspects = self.suspects
        return [event for event in self._events if event["id"] not in suspects]

    def written_with(self, event: Event, moment: datetime | None) -> bool:
        """Return whether `moment` is the clock of the command that wrote `event`.

        The event itself is one millisecond after its predecessor where the clock did not advance.
        """
        if moment is None or moment.microsecond % 1000:
            return False
        if format_datetime(moment) == event["created_at"]:
            return True
        previous = next((e for e in self._events if e["seq"] == event["seq"] - 1), None)
        if previous is None or previous["id"] in self.suspects:
            return True
        pushed = parse_datetime(previous["created_at"]) + _MILLISECOND
        return format_datetime(pushed) == event["created_at"] and moment < pushed


def check_ticket(trail: Trail, ticket: Row | None) -> Iterator[Fault]:
    """Yield a ticket whose state changed without a command, or that is gone."""
    if ticket is None:
        yield Fault(TICKETS, trail.ticket_id, trail.ticket_id, "gone, but it has audit rows")
        return
    stateful = [event for event in trail.events if event["after_state"] is not None]
    for last, event in pairwise(stateful):
        adjacent = event["seq"] == last["seq"] + 1
        if adjacent and event["before_state"] != last["after_state"]:
            yield _strayed(trail, last, f"{event['before_state']} at seq {event['seq']}")
    newest = stateful[-1] if stateful else None
    if newest and not trail.is_torn and ticket["state"] != newest["after_state"]:
        yield _strayed(trail, newest, f"{ticket['state']} now")


def check_transitions(
    trail: Trail, rows: Sequence[Row], legal: Collection[Pair]
) -> Iterator[Fault]:
    """Yield transitions that are illegal, or not the ones that the audit rows call for.

    `rows` are in the order of their seq.
    """
    lost, strangers = [], []
    by_event: dict[str, list[Row]] = defaultdict(list)
    for row in rows:
        by_event[str(row["audit_event_id"])].append(row)
    for event in trail.events:
        wanted = pairs_of(event)
        for row in by_event.pop(event["id"], ()):
            if _pair(row) in wanted:
                wanted.remove(_pair(row))
                yield from _circumstances(event, row)
            else:
                strangers.append(row)
        lost += [Lost(event, pair) for pair in wanted]
    unknown = [row for group in by_event.values() for row in group]
    yield from _explain(trail, lost, [*strangers, *unknown], legal)
    yield from _out_of_order(trail, rows)


def pairs_of(event: Event) -> list[Pair]:
    """Return the transitions that an audit row calls for, in order."""
    if event["after_state"] is None or event["before_state"] == event["after_state"]:
        return []
    derived = event["payload"].get("derived_transitions")
    if isinstance(derived, list):
        steps = [str(step).partition("->") for step in derived]
        return [(before, after) for before, _, after in steps]
    return [(event["before_state"], event["after_state"])]


def _explain(
    trail: Trail, lost: list[Lost], strangers: Iterable[Row], legal: Collection[Pair]
) -> Iterator[Fault]:
    """Yield each lost and each strange transition; one that was changed is both, named once."""
    seqs = {event["id"]: event["seq"] for event in trail.events}
    for row in strangers:
        tied_to = str(row["audit_event_id"])
        original = _origin(lost, tied_to, _pair(row))
        if original is not None:
            lost.remove(original)
            step = "->".join(map(str, original.pair))
            problem = f"was {step} of audit seq {original.event['seq']}"
        elif tied_to in seqs:
            problem = f"not made by audit seq {seqs[tied_to]}, which it names"
        elif trail.is_torn:
            continue
        else:
            problem = f"gone, but transition {row['id']} refers to it"
            yield Fault(AUDIT_EVENTS, tied_to, trail.ticket_id, problem)
            continue
        legality = "" if _pair(row) in legal else ", not legal"
        yield _fault(row, f"{row['from_state']}->{row['to_state']}{legality}, {problem}")
    for event, (before, after) in lost:
        problem = f"{before}->{after} of audit seq {event['seq']} is gone"
        yield Fault(TRANSITIONS, None, trail.ticket_id, problem)


def _origin(lost: Iterable[Lost], tied_to: str, pair: Pair) -> Lost | None:
    """Return what a strange transition was before: of the same audit row, else the same step."""
    same_event = (each for each in lost if each.event["id"] == tied_to)
    same_step = (each for each in lost if each.pair == pair)
    return next(chain(same_event, same_step), None)


def _circumstances(event: Event, row: Row) -> Iterator[Fault]:
    if row["tenant_id"] != event["tenant_id"]:
        yield _fault(row, "tenant_id is not that of its audit row")
    elif format_datetime(row["created_at"]) != event["created_at"]:
        yield _fault(row, "created_at is not that of its audit row")


def _out_of_order(trail: Trail, rows: Sequence[Row]) -> Iterator[Fault]:
    places = {event["id"]: event["seq"] for event in trail.events}
    highest = 0
    for row in rows:
        place = places.get(str(row["audit_event_id"]), highest)
        if place < highest:
            yield _fault(row, f"belongs to audit seq {place}, but comes after that of {highest}")
        highest = max(highest, place)


def _strayed(trail: Trail, last: Event, other: str) -> Fault:
    problem = f"{last['after_state']} after seq {last['seq']}, but {other}: no command did that"
    return Fault(TICKETS, trail.ticket_id, trail.ticket_id, problem)


def _pair(row: Row) -> Pair:
    return row["from_state"], row["to_state"]


def _fault(row: Row, problem: str) -> Fault:
    return Fault(TRANSITIONS, str(row["id"]), str(row["ticket_id"]), problem)
