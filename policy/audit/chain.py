"""The audit chain, re-checked by whoever holds a timeline (contract 13.2)."""

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple, TypeAlias

import orjson

from policy.canonical import sha256_hex

GENESIS = "0" * 64
TABLE = "audit_events"

Event: TypeAlias = Mapping[str, Any]
"""A timeline event, V of contract 1.2."""


class Fault(NamedTuple):
    """A stored row that is not what was recorded; `row_id` is None for a row that is gone."""

    table: str
    row_id: str | None
    ticket_id: str | None
    problem: str


class ChainCheck:
    """Checks one chain, event by event in the order of seq.

    A row whose content and hash were both rewritten is betrayed by the next one, which was hashed
    over the old hash. The newest row has no next one: what depends on it must betray it.
    """

    def __init__(self) -> None:
        self._last: Event | None = None
        self._last_is_sound = True

    def add(self, event: Event) -> list[Fault]:
        """Return what is wrong with `event`, or what it shows to be wrong before it."""
        last = self._last
        content = dict(event)
        digest = content.pop("hash")
        sound = hash_matches(content, digest)
        if not sound:
            faults = [_fault(event, "its hash is not the hash of its content")]
        elif last is None:
            faults = _judge_first(event)
        else:
            faults = list(self._judge_next(last, event))
        if not sound and _gap(last, event):
            faults.append(_missing(last, event))
        named = {fault.row_id for fault in faults}
        self._last, self._last_is_sound = event, event["id"] not in named
        return faults

    def _judge_next(self, last: Event, event: Event) -> Iterator[Fault]:
        if _gap(last, event):
            yield _missing(last, event)
        elif event["seq"] <= last["seq"]:
            yield _fault(event, f"a second row of seq {event['seq']}")
        elif event["prev_hash"] != last["hash"] and self._last_is_sound:
            yield _fault(last, f"replaced: seq {event['seq']} follows a row with another hash")
        elif event["created_at"] <= last["created_at"] and self._last_is_sound:
            yield _fault(event, f"created_at is not later than that of seq {last['seq']}")


def check_timeline(events: Iterable[Event]) -> list[Fault]:
    """Return the faults of one chain, of which `events` are all events in order of seq."""
    chain = ChainCheck()
    return [fault for event in events for fault in chain.add(event)]


def hash_matches(value: Any, digest: str) -> bool:  # noqa: ANN401  any JSON value
    """Return whether `digest` is the hash of `value` (contract 13.1).

    Sorted plain JSON mostly equals the canonical form and is far cheaper. A match proves itself;
    only without one is the canonical form made.
    """
    plain = orjson.dumps(value, option=orjson.OPT_SORT_KEYS)
    return hashlib.sha256(plain).hexdigest() == digest or sha256_hex(value) == digest


def _judge_first(event: Event) -> list[Fault]:
    if _gap(None, event):
        return [_missing(None, event)]
    if event["prev_hash"] != GENESIS:
        return [_fault(event, "seq 1 does not start a chain")]
    return []


def _gap(last: Event | None, event: Event) -> bool:
    following: bool = event["seq"] > (last["seq"] if last else 0) + 1
    return following


def _missing(last: Event | None, event: Event) -> Fault:
    first, final = (last["seq"] if last else 0) + 1, event["seq"] - 1
    names = f"seq {first} is" if first == final else f"seq {first} to {final} are"
    return Fault(TABLE, None, event["ticket_id"], f"{names} missing")


def _fault(event: Event, problem: str) -> Fault:
    return Fault(TABLE, event["id"], event["ticket_id"], f"seq {event['seq']}: {problem}")
