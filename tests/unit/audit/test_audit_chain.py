"""The audit chain vouches for an honest timeline and names the row that broke it."""

from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import JsonValue

from policy.audit.chain import GENESIS, Fault, check_timeline, hash_matches
from policy.audit.trail import Trail, check_ticket, check_transitions, pairs_of
from policy.canonical import sha256_hex
from policy.rules.bundle import load_bundle
from policy.values import parse_datetime

TICKET = str(UUID(int=1))
LEGAL = frozenset(load_bundle().pairs)
STATES = (None, "NEW", "READY_TO_SCHEDULE", "SCHEDULE_PROPOSED", "SCHEDULED", "SCHEDULED")


def timeline(length: int = 5) -> list[dict[str, Any]]:
    """Return an honest timeline: creation, triage in two steps, and so on."""
    events: list[dict[str, Any]] = []
    for seq in range(1, length + 1):
        payload: dict[str, Any] = {"request": {"weight": 1.5, "n": seq}}
        if seq == 2:
            payload["derived_transitions"] = ["NEW->TRIAGED", "TRIAGED->READY_TO_SCHEDULE"]
        events.append(
            {
                "id": str(UUID(int=100 + seq)),
                "ticket_id": TICKET,
                "actor_id": "a",
                "tool_name": "tool",
                "before_state": STATES[seq - 1],
                "after_state": STATES[seq],
                "payload": payload,
                "created_at": f"2026-01-01T00:00:00.{seq:03d}Z",
                "tenant_id": "default",
                "seq": seq,
                "prev_hash": events[-1]["hash"] if events else GENESIS,
            }
        )
        seal(events[-1])
    return events


def seal(event: dict[str, Any]) -> None:
    event.pop("hash", None)
    event["hash"] = sha256_hex(event)


def named(faults: list[Fault]) -> list[str | None]:
    return [fault.row_id for fault in faults]


def test_an_honest_timeline_has_no_fault() -> None:
    assert check_timeline(timeline()) == []
    assert check_timeline([]) == []


@given(st.integers(0, 4), st.sampled_from(sorted(set(timeline(1)[0]) - {"seq", "created_at"})))
def test_any_changed_field_names_exactly_its_row(place: int, name: str) -> None:
    events = timeline()
    events[place][name] = "changed"
    assert named(check_timeline(events)) == [events[place]["id"]]


def test_a_row_rewritten_with_its_hash_is_named_by_the_next_one() -> None:
    events = timeline()
    events[2]["actor_id"] = "somebody"
    seal(events[2])
    faults = check_timeline(events)
    assert named(faults) == [events[2]["id"]]
    assert "seq 4" in faults[0].problem


@pytest.mark.parametrize(
    ("gone", "problem"),
    [
        (slice(0, 1), "seq 1 is missing"),
        (slice(2, 3), "seq 3 is missing"),
        (slice(1, 4), "seq 2 to 4 are missing"),
    ],
)
def test_missing_rows_are_told(gone: slice, problem: str) -> None:
    events = timeline()
    del events[gone]
    assert check_timeline(events) == [Fault("audit_events", None, TICKET, problem)]


def test_a_chain_that_starts_elsewhere_is_named() -> None:
    events = timeline(1)
    events[0]["prev_hash"] = "1" * 64
    seal(events[0])
    assert named(check_timeline(events)) == [events[0]["id"]]


def test_a_second_row_of_one_seq_and_a_clock_that_stands_still_are_named() -> None:
    events = timeline(2)
    twin = {**events[1], "id": str(UUID(int=9))}
    seal(twin)
    assert named(check_timeline([*events, twin])) == [twin["id"]]

    events = timeline(2)
    events[1]["created_at"] = events[0]["created_at"]
    seal(events[1])
    assert named(check_timeline(events)) == [events[1]["id"]]


def test_a_hash_over_numbers_that_plain_json_writes_otherwise_still_matches() -> None:
    value: dict[str, JsonValue] = {"big": 1e21, "whole": 1.0, "astral": {"\U0001f600": 1, "￿": 2}}
    assert hash_matches(value, sha256_hex(value))
    assert not hash_matches(value, sha256_hex({**value, "whole": 2.0}))


def transitions(events: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the rows that the events call for."""
    rows: list[dict[str, Any]] = []
    for event in events:
        for before, after in pairs_of(event):
            rows.append(
                {
                    "id": UUID(int=200 + len(rows)),
                    "tenant_id": "default",
                    "ticket_id": UUID(TICKET),
                    "from_state": before,
                    "to_state": after,
                    "audit_event_id": UUID(event["id"]),
                    "created_at": parse_datetime(event["created_at"]),
                }
            )
    return rows


def trail_of(events: list[dict[str, Any]], *, torn: bool = False) -> Trail:
    trail = Trail(TICKET, torn=torn)
    for event in events:
        trail.add(event)
    return trail


def test_transitions_are_those_of_the_audit_rows() -> None:
    events = timeline()
    rows = transitions(events)
    assert [(row["from_state"], row["to_state"]) for row in rows] == [
        (None, "NEW"),
        ("NEW", "TRIAGED"),
        ("TRIAGED", "READY_TO_SCHEDULE"),
        ("READY_TO_SCHEDULE", "SCHEDULE_PROPOSED"),
        ("SCHEDULE_PROPOSED", "SCHEDULED"),
    ]
    assert list(check_transitions(trail_of(events), rows, LEGAL)) == []


def test_an_illegal_transition_is_named_as_illegal() -> None:
    events = timeline()
    rows = transitions(events)
    rows[1]["to_state"] = "CLOSED"
    faults = list(check_transitions(trail_of(events), rows, LEGAL))
    assert named(faults) == [str(rows[1]["id"])]
    assert faults[0].problem == "NEW->CLOSED, not legal, was NEW->TRIAGED of audit seq 2"


def test_transitions_in_another_order_are_named() -> None:
    events = timeline()
    rows = transitions(events)
    rows.append(rows.pop(1))
    assert named(list(check_transitions(trail_of(events), rows, LEGAL))) == [str(rows[-1]["id"])]


def test_a_transition_of_an_audit_row_that_is_gone_misses_it() -> None:
    events = timeline()
    rows = transitions(events)
    kept = trail_of(events[:3])
    assert named(list(check_transitions(kept, rows, LEGAL))) == [events[3]["id"]]
    assert list(check_transitions(trail_of(events[:3], torn=True), rows, LEGAL)) == []


def test_a_broken_audit_row_is_no_witness() -> None:
    events = timeline()
    rows = transitions(events)
    events[2]["after_state"] = "CLOSED"
    trail = trail_of(events)
    assert named(trail.faults) == [events[2]["id"]]
    assert list(check_transitions(trail, rows, LEGAL)) == []
    assert list(check_ticket(trail, {"state": "SCHEDULED"})) == []


def test_a_ticket_in_another_state_or_gone_is_named() -> None:
    trail = trail_of(timeline())
    assert list(check_ticket(trail, {"state": "SCHEDULED"})) == []
    assert named(list(check_ticket(trail, {"state": "CLOSED"}))) == [TICKET]
    assert named(list(check_ticket(trail, None))) == [TICKET]
