"""The counters of this process, from 0 at its start, in all and per tenant (contract 15.2)."""

import heapq
import math
import time
from bisect import bisect_left
from collections import Counter, defaultdict, deque
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any, NamedTuple, Self

from policy.codes import Code

METHODS = frozenset({"DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT"})
OTHER_METHOD = "OTHER"
MAX_OVERRIDE_CODES = 100
OTHER_CODE = "other"
MOST_NAMED = 10
"""How many tickets an alert names."""
DURATIONS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, math.inf)


class Commit(NamedTuple):
    """What one decided command changed, as far as it is counted."""

    tool_name: str
    allowed: bool
    transitions: tuple[tuple[str | None, str], ...]
    override_code: str | None
    snapshot_id: str | None

    @classmethod
    def of(cls, row: Mapping[str, Any]) -> Self:
        """Return the commit in a row of `decided_commands`."""
        counted = row["counted"] or {}
        return cls(
            tool_name=row["tool_name"],
            allowed=row["code"] is None,
            transitions=tuple(map(tuple, counted.get("transitions", ()))),
            override_code=counted.get("override_code"),
            snapshot_id=counted.get("snapshot_id"),
        )


class Recent:
    """Counts of the codes of the last so many seconds, by whole seconds."""

    def __init__(self, seconds: int, clock: Callable[[], float]) -> None:
        self._seconds = seconds
        self._clock = clock
        self._buckets: deque[tuple[int, Counter[str]]] = deque()

    def add(self, code: str) -> None:
        """Count one occurrence now."""
        now = int(self._clock())
        if not self._buckets or self._buckets[-1][0] != now:
            self._buckets.append((now, Counter()))
            self._forget(now)
        self._buckets[-1][1][code] += 1

    def counts(self) -> Counter[str]:
        """Return the counts of the window that ends now."""
        self._forget(int(self._clock()))
        return sum((counts for _, counts in self._buckets), Counter())

    def __add__(self, other: "Recent") -> "Recent":
        """Return the counts of both."""
        both = Recent(self._seconds, self._clock)
        both._buckets.extend(heapq.merge(self._buckets, other._buckets, key=lambda each: each[0]))
        return both

    def _forget(self, now: int) -> None:
        while self._buckets and self._buckets[0][0] <= now - self._seconds:
            self._buckets.popleft()


class Durations:
    """How long requests took, in seconds, by method and endpoint."""

    def __init__(self) -> None:
        self.buckets: Counter[tuple[str, str, float]] = Counter()
        self.seconds: defaultdict[tuple[str, str], float] = defaultdict(float)

    def observe(self, method: str, endpoint: str, seconds: float) -> None:
        """Count one request."""
        bound = DURATIONS[bisect_left(DURATIONS, seconds)]
        self.buckets[method, endpoint, bound] += 1
        self.seconds[method, endpoint] += seconds

    def __add__(self, other: "Durations") -> "Durations":
        """Return the durations of both."""
        both = Durations()
        for each in (self, other):
            both.buckets.update(each.buckets)
            for of, seconds in each.seconds.items():
                both.seconds[of] += seconds
        return both


class Counters:
    """Committed facts and requests that this process has seen. `changes` rises with each.

    What a tenant did is also counted in its share. A tenant sees that, and what nobody in
    particular did: probes, unknown routes, and callers that could not be identified.
    """

    def __init__(
        self, window_minutes: int = 0, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.requests: Counter[tuple[str, str, int]] = Counter()
        self.errors: Counter[str] = Counter()
        self.tickets: dict[str, tuple[str, ...]] = {}
        self.transitions: Counter[tuple[str | None, str]] = Counter()
        self.override_codes: Counter[str] = Counter()
        self.replays = 0
        self.with_snapshot = 0
        self.without_snapshot = 0
        self.changes = 0
        self.durations = Durations()
        self._recent = Recent(window_minutes * 60, clock) if window_minutes else None
        self._fresh = partial(Counters, window_minutes, clock)
        self._shares: dict[str | None, Counters] = {}

    def counting(self, tenant_id: str | None) -> Iterator["Counters"]:
        """Yield the counters that what a tenant, or nobody, did is counted in."""
        yield self
        yield self._shares.setdefault(tenant_id, self._fresh())

    def seen_by(self, tenant_id: str | None) -> "Counters":
        """Return what a tenant may see; None: the whole."""
        if tenant_id is None:
            return self
        nobodys, own = (self._shares.get(each, self._fresh()) for each in (None, tenant_id))
        return nobodys + own

    def request(self, method: str, endpoint: str, status: int) -> None:
        """Count a request."""
        known = method if method in METHODS else OTHER_METHOD
        self.requests[known, endpoint, status] += 1
        self.changes += 1

    def duration(self, method: str, endpoint: str, seconds: float) -> None:
        """Count how long a request took."""
        known = method if method in METHODS else OTHER_METHOD
        self.durations.observe(known, endpoint, seconds)

    def error(self, code: str, ticket_id: str | None = None) -> None:
        """Count an error that was answered, and remember which ticket it was about."""
        self.errors[code] += 1
        if ticket_id is not None:
            self.tickets[code] = _newest(self.tickets.get(code, ()), (ticket_id,))
        if self._recent is not None:
            self._recent.add(code)

    def replay(self) -> None:
        """Count an answer that was repeated."""
        self.replays += 1

    def committed(self, commit: Commit) -> None:
        """Count what a decided command changed."""
        if not commit.allowed:
            return
        self.transitions.update(commit.transitions)
        if commit.tool_name == "ticket.force_close":
            self._override(commit.override_code or OTHER_CODE)
        elif commit.tool_name == "assignment.dispatch" and commit.snapshot_id is None:
            self.without_snapshot += 1
        elif commit.tool_name == "assignment.dispatch":
            self.with_snapshot += 1
        self.changes += 1

    def _override(self, code: str) -> None:
        known = code in self.override_codes or len(self.override_codes) < MAX_OVERRIDE_CODES
        self.override_codes[code if known else OTHER_CODE] += 1

    def __add__(self, other: "Counters") -> "Counters":
        """Return the counts of both, as they are now."""
        both = self._fresh()
        for name in ("requests", "errors", "transitions", "override_codes"):
            getattr(both, name).update(getattr(self, name) + getattr(other, name))
        for name in ("replays", "with_snapshot", "without_snapshot", "durations"):
            setattr(both, name, getattr(self, name) + getattr(other, name))
        for each in (self, other):
            for code, tickets in each.tickets.items():
                both.tickets[code] = _newest(both.tickets.get(code, ()), tickets)
        if self._recent is not None and other._recent is not None:
            both._recent = self._recent + other._recent
        return both

    def signal(self, *codes: Code) -> int:
        """Return how often the codes were answered, since the start or within the window."""
        counts = self.errors if self._recent is None else self._recent.counts()
        return sum(counts[code] for code in codes)

    def named(self, *codes: Code) -> list[str]:
        """Return the tickets that the codes were last answered about, the newest first."""
        tickets = [each for code in codes for each in reversed(self.tickets.get(code, ()))]
        return list(dict.fromkeys(tickets))[:MOST_NAMED]

    def snapshot(self) -> dict[str, Any]:
        """Return the counters as they are answered; lists are sorted by their labels."""
        return {
            "requests_total": [
                {"method": method, "endpoint": endpoint, "status": status, "count": count}
                for (method, endpoint, status), count in sorted(self.requests.items())
            ],
            "errors_total": _by_code(self.errors),
            "transitions_total": [
                {"from_state": before, "to_state": after, "count": count}
                for (before, after), count in sorted(
                    self.transitions.items(), key=lambda item: (item[0][0] or "", item[0][1])
                )
            ],
            "idempotency_replay_total": self.replays,
            "idempotency_conflict_total": self.errors[Code.IDEMPOTENCY_PAYLOAD_MISMATCH],
            "dispatch_override_close_total": self.override_codes.total(),
            "dispatch_override_close_by_code": _by_code(self.override_codes),
            "dispatch_assignments_with_snapshot_total": self.with_snapshot,
            "dispatch_assignments_without_snapshot_total": self.without_snapshot,
        }


def _newest(known: tuple[str, ...], further: tuple[str, ...]) -> tuple[str, ...]:
    """Return the last tickets, each once, the newest last."""
    kept = [each for each in known if each not in further]
    return (*kept, *further)[-MOST_NAMED:]


def _by_code(counts: Counter[str]) -> list[dict[str, Any]]:
    return [{"code": str(code), "count": count} for code, count in sorted(counts.items())]
