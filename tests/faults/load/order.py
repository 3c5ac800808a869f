"""Whether the order of one ticket's audit rows can be the order in which its clients saw things.

The chain gives the order of effects, so nothing is searched: a command takes effect in its place,
and everything else that saw the ticket must fit between two effects. An effect lies between the
first request and the first answer of its call.
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from math import inf

from tests.faults.load.evidence import Call, Ending, Event

NOT_FOUND = "TICKET_NOT_FOUND"


def order_faults(calls: Sequence[Call], events: Sequence[Event]) -> Iterator[str]:
    """Yield what no order explains, ticket by ticket."""
    first: dict[tuple[str, str, str], float] = {}
    for call in calls:
        first[call.identity] = min(call.invoked, first.get(call.identity, inf))
    identity = {call.command: call.identity for call in calls if call.command}
    seen = defaultdict(list)
    for call in calls:
        if call.ticket is not None:
            seen[call.ticket].append(call)
    chains = defaultdict(list)
    for event in events:
        chains[event.ticket].append(event)
    for ticket, chain in chains.items():
        chain.sort(key=lambda event: event.seq)
        callers = [identity.get(event.command or "") for event in chain]
        began = [-inf if caller is None else first[caller] for caller in callers]
        yield from TicketOrder(ticket, chain, began, seen[ticket]).faults()


class TicketOrder:
    """One ticket: its effects in order, and what its clients saw."""

    def __init__(
        self, ticket: str, chain: Sequence[Event], began: Sequence[float], calls: Sequence[Call]
    ) -> None:
        self._ticket = ticket
        self._chain = chain
        self._began = began
        self._calls = calls
        answered: dict[str | None, float] = {event.command: inf for event in chain if event.command}
        for call in calls:
            if call.ending is Ending.OK and call.command in answered:
                answered[call.command] = min(call.ended, answered[call.command])
        self._ended = [answered.get(event.command, inf) for event in chain]
        self._places = self._state_after_each()

    def faults(self) -> Iterator[str]:
        """Yield effects that are out of order, and observations that fit nowhere."""
        latest = -inf
        for event, began, ended in zip(self._chain, self._began, self._ended, strict=True):
            if ended < latest:
                yield f"{self._ticket}: seq {event.seq} was answered before an earlier one began"
            latest = max(latest, began)
        yield from self._misplaced_observations()
        yield from self._wrong_answers()

    def _state_after_each(self) -> list[tuple[str | None, int | None]]:
        """Return state and version (None: not known) before the first effect and after each."""
        places: list[tuple[str | None, int | None]] = [(None, None)]
        for event in self._chain:
            state, version = places[-1]
            if event.after is not None:
                moved = event.before != event.after or event.version is not None
                state, version = event.after, event.version if moved else version
            places.append((state, version))
        return places

    def _misplaced_observations(self) -> Iterator[str]:
        """Give each observation the first place that fits it and those that ended before it.

        The earliest place leaves the most to the later ones, so there is nothing to go back on.
        """
        placed: list[tuple[float, int]] = []
        for call in sorted(filter(_observes, self._calls), key=lambda call: call.invoked):
            earlier = (place for ended, place in placed if ended < call.invoked)
            low, high = self._window(call)
            low = max([low, *earlier])
            place = next((each for each in range(low, high + 1) if self._fits(call, each)), None)
            if place is None:
                what = call.code or f"{call.state} {call.version}"
                yield f"{self._ticket}: {call.client} saw {what} by {call.tool}, and it was not so"
            else:
                placed.append((call.ended, place))

    def _wrong_answers(self) -> Iterator[str]:
        after = {event.command: event.after for event in self._chain if event.command}
        for call in self._calls:
            answered = call.ending is Ending.OK and call.state and call.command in after
            if answered and call.state != after[call.command or ""]:
                yield f"{self._ticket}: {call.tool} answered {call.state}, which was not so"

    def _window(self, call: Call) -> tuple[int, int]:
        """Return the first and the last place that the times of a call allow."""
        size = len(self._chain)
        low = max((i + 1 for i in range(size) if self._ended[i] < call.invoked), default=0)
        high = min((i for i in range(size) if self._began[i] > call.ended), default=size)
        return low, high

    def _fits(self, call: Call, place: int) -> bool:
        state, version = self._places[place]
        if call.code == NOT_FOUND:
            return state is None
        unknown = version is None or call.version is None
        return call.state == state and (unknown or call.version == version)


def _observes(call: Call) -> bool:
    """Whether a call saw the ticket without changing it."""
    if call.ending is Ending.UNKNOWN or (call.ending is Ending.OK and not call.is_read):
        return False
    return call.state is not None or call.code == NOT_FOUND
