"""The MAC on commands: one head has one, and no other head has the same."""

from uuid import UUID

import pytest

from contracts.signing import is_authentic, sign
from policy.command.message import Command, Subject
from tests.unit.facts_builder import actor, command

KEY = b"a key of these tests"
PLAN = Subject(kind="plan", id="default-north-2026-W49")


def changed(**fields: object) -> Command:
    """Return a triage with another head."""
    return command("ticket.triage").model_copy(update=fields)


@pytest.mark.parametrize(
    "other",
    [
        changed(tool="ticket.cancel"),
        changed(ticket_id=UUID(int=99)),
        changed(automated=True),
        changed(named=PLAN),
        changed(named=Subject(kind="plan-default", id="north-2026-W49")),
        changed(correlation_id="another"),
        changed(actor=actor(actor_id="somebody else")),
    ],
)
def test_a_mac_fits_its_own_head_alone(other: Command) -> None:
    signed = sign(KEY, changed())
    assert is_authentic(KEY, signed)
    assert not is_authentic(KEY, signed.model_copy(update={"command": other}))
    assert not is_authentic(b"another key", signed)


def test_a_separator_within_a_field_cannot_make_one_identity_look_like_another() -> None:
    first = changed(trace_id="t", actor=actor(actor_id="a\x1fdispatcher"))
    second = changed(trace_id="t\x1fa", actor=actor(actor_id="dispatcher"))
    assert sign(KEY, first).mac != sign(KEY, second).mac


def test_a_mac_that_an_earlier_release_made_still_holds() -> None:
    recorded = "445b08d289f46aa0d1037c7e7aaeca97598a7d1cc87b2e7a30a7a66e42b9d6b5"
    assert sign(KEY, changed()).mac == recorded
