"""The ladders: which steps are due, what silences or delays them, and who is told when."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from pydantic import ValidationError

from policy.deadlines.history import EVERY_KIND, Escalation, Past, Snooze
from policy.deadlines.sla import Deadline, deadlines
from policy.deadlines.steps import Step, due_steps, lateness_ms, messages, open_steps
from policy.local_time import Place
from policy.model import Priority, State, Ticket
from policy.rules.bundle import Bundle, BundleError, load_bundle
from policy.rules.escalation import HOLD_EXPIRY, SLA_KINDS, Ladder, QuietHours
from runtime.bundle import installed_bundle
from runtime.settings import load_settings
from tests.unit.facts_builder import NOW, bundle, hold, ticket
from tests.unit.payloads import uuid_of

MINUTE = timedelta(minutes=1)
HOUR = timedelta(hours=1)
LOS_ANGELES = ZoneInfo("America/Los_Angeles")
OAKLAND = Place(LOS_ANGELES, "US")
REMINDER = "approval_reminder"


def installed(recipients: Mapping[str, Any] | None = None, **ladders: dict[str, Any]) -> Bundle:
    """Return the shipped bundle with recipients, and rules of single ladders replaced."""
    shipped = bundle().escalation.model_dump(mode="json")
    for kind, rules in ladders.items():
        shipped["ladders"][kind] |= rules
    return load_bundle({"escalation": shipped | {"recipients": recipients or {}}})


def raised(kind: str, due_at: datetime, level: int = 1, **fields: Any) -> Escalation:  # noqa: ANN401
    columns = {"id": uuid_of(50), "raised_at": due_at, "lateness_ms": 0}
    return Escalation(kind=kind, level=level, due_at=due_at, **columns | fields)


def reminders(job: Ticket, rests_since: datetime) -> list[Deadline]:
    return [each for each in deadlines(bundle(), job, rests_since) if each.kind == REMINDER]


def kinds(job: Ticket, rests_since: datetime = NOW) -> dict[tuple[str, int], datetime]:
    found = deadlines(bundle(), job, rests_since)
    return {(each.kind, each.level): each.due_at for each in found if each.repeats is None}


def test_a_technician_who_does_not_check_in_by_the_end_of_the_window_is_a_no_show() -> None:
    job = ticket(State.DISPATCHED)
    assert job.scheduled_end is not None
    assert kinds(job)["technician_no_show", 1] == job.scheduled_end
    assert kinds(job)["technician_no_show", 2] == job.scheduled_end + 30 * MINUTE
    late = job.scheduled_end + HOUR
    assert kinds(job, late)["technician_no_show", 1] == late


@pytest.mark.parametrize(
    "job",
    [
        ticket(State.IN_PROGRESS),
        ticket(State.SCHEDULED),
        ticket(State.DISPATCHED, scheduled_start=None, scheduled_end=None),
    ],
)
def test_without_a_dispatch_or_a_window_nobody_fails_to_show_up(job: Ticket) -> None:
    assert not [kind for kind, _ in kinds(job) if kind == "technician_no_show"]


def test_an_approval_is_reminded_of_and_expires() -> None:
    due = kinds(ticket(State.APPROVAL_REQUIRED))
    assert due[REMINDER, 1] == NOW + 4 * HOUR
    assert due["approval_expiry", 1] == NOW + 24 * HOUR
    assert REMINDER not in {kind for kind, _ in kinds(ticket(State.IN_PROGRESS))}


def test_every_shipped_ladder_has_its_first_step_when_it_is_meant_to() -> None:
    """A ladder that is added wants its line here."""
    window_end = ticket(State.DISPATCHED).scheduled_end
    assert window_end is not None
    first = {
        "stuck_scheduling": (State.READY_TO_SCHEDULE, HOUR),
        REMINDER: (State.APPROVAL_REQUIRED, 4 * HOUR),
        "approval_expiry": (State.APPROVAL_REQUIRED, 24 * HOUR),
        "technician_no_show": (State.DISPATCHED, window_end - NOW),
    }
    assert {*first, *SLA_KINDS} == set(bundle().escalation.ladders)
    for kind, (state, after) in first.items():
        assert kinds(ticket(state))[kind, 1] - NOW == after


def test_every_deadline_is_a_step_of_a_ladder_or_the_end_of_a_hold() -> None:
    known = {HOLD_EXPIRY, *bundle().escalation.ladders}
    for state in State:
        ahead = deadlines(bundle(), ticket(state), NOW, hold())
        assert {each.kind for each in ahead} <= known


def test_the_shipped_sla_ladders_raise_each_level_once() -> None:
    found = [each for each in deadlines(bundle(), ticket(), NOW) if each.kind.startswith("sla_")]
    assert [(each.kind, each.level) for each in found] == [
        ("sla_warning", 1),
        ("sla_breach", 2),
        ("sla_double_breach", 3),
    ]


def test_a_step_repeats_as_often_as_its_ladder_says() -> None:
    found = reminders(ticket(State.APPROVAL_REQUIRED), NOW)
    assert [each.due_at - NOW for each in found] == [turn * 4 * HOUR for turn in range(1, 6)]
    assert [each.repeats for each in found] == [None, *[NOW + 4 * HOUR] * 4]


def test_of_repeats_that_were_missed_only_the_newest_is_raised() -> None:
    ahead = reminders(ticket(State.APPROVAL_REQUIRED), NOW)
    now = NOW + 13 * HOUR
    due = due_steps(open_steps(bundle().escalation, ahead, Past()), now)
    assert [step.deadline.due_at - NOW for step in due] == [4 * HOUR, 12 * HOUR]
    past = Past(raised=tuple(raised(REMINDER, step.deadline.due_at) for step in due))
    left = list(open_steps(bundle().escalation, ahead, past))
    assert [step.at - NOW for step in left] == [16 * HOUR, 20 * HOUR]


def test_an_acknowledged_step_repeats_no_more_until_it_is_armed_again() -> None:
    ahead = reminders(ticket(State.APPROVAL_REQUIRED), NOW)
    seen = raised(REMINDER, NOW + 4 * HOUR, acknowledged_at=NOW + 5 * HOUR, acknowledged_by="me")
    left = open_steps(bundle().escalation, ahead, Past(raised=(seen,)))
    assert [step.at - NOW for step in left] == [20 * HOUR]  # 5 h and the ladder's 12 h are over

    never = installed(approval_reminder={"rearm_minutes": None}).escalation
    assert not list(open_steps(never, ahead, Past(raised=(seen,))))


def test_an_acknowledged_step_does_not_silence_the_one_of_a_later_rest() -> None:
    seen = raised(REMINDER, NOW + 4 * HOUR, acknowledged_at=NOW + 5 * HOUR, acknowledged_by="me")
    ahead = reminders(ticket(State.APPROVAL_REQUIRED), NOW + 6 * HOUR)
    left = list(open_steps(bundle().escalation, ahead, Past(raised=(seen,))))
    assert [step.at - NOW for step in left][:2] == [10 * HOUR, 14 * HOUR]


@pytest.mark.parametrize("kind", [EVERY_KIND, REMINDER])
def test_a_snooze_lets_steps_wait_and_then_come(kind: str) -> None:
    ahead = reminders(ticket(State.APPROVAL_REQUIRED), NOW)[:1]
    until = NOW + 9 * HOUR
    past = Past(snoozes=(Snooze(kind=kind, until=until),))
    (step,) = open_steps(bundle().escalation, ahead, past)
    assert (step.at, step.awaited.due_at, step.deadline.due_at) == (until, until, NOW + 4 * HOUR)
    assert not due_steps([step], until - MINUTE)
    assert due_steps([step], until) == [step]


def test_a_snooze_holds_up_neither_other_kinds_nor_the_end_of_a_hold() -> None:
    ahead = [
        Deadline(kind="hold_expiry", level=1, due_at=NOW),
        Deadline(kind="sla_breach", level=2, due_at=NOW),
    ]
    until = NOW + HOUR
    other = Past(snoozes=(Snooze(kind=REMINDER, until=until),))
    assert [step.at for step in open_steps(bundle().escalation, ahead, other)] == [NOW, NOW]
    every = Past(snoozes=(Snooze(kind=EVERY_KIND, until=until),))
    assert [step.at for step in open_steps(bundle().escalation, ahead, every)] == [NOW, until]


def test_lateness_counts_from_when_a_step_could_be_raised() -> None:
    step = Step(Deadline(kind="sla_breach", level=2, due_at=NOW - HOUR), NOW - HOUR)
    assert lateness_ms(step, None, NOW) == 3_600_000
    assert lateness_ms(step, NOW - MINUTE, NOW) == 60_000  # a visit was moved into the past
    assert lateness_ms(step._replace(at=NOW - timedelta(seconds=1)), None, NOW) == 1000


def told(rules: Bundle, job: Ticket, kind: str = "sla_warning") -> list[tuple[str, datetime, str]]:
    """Return address, time and key of the messages of one step that is raised at NOW."""
    sent = messages(rules, job, raised(kind, NOW), OAKLAND)
    return [(row.payload["to"], at, row.idempotency_key) for row, at in sent]


def test_nobody_is_told_unless_recipients_are_configured() -> None:
    assert told(bundle(), ticket()) == []


def test_an_installation_names_its_recipients_in_one_variable() -> None:
    words = "dispatcher:sms:+15550001, dispatcher:sms:+15550002,manager:sms:+15550003"
    settings, warnings = load_settings({"DISPATCH_ESCALATION_RECIPIENTS": words})
    rules = installed_bundle(settings)
    assert warnings == []
    assert [to for to, _, _ in told(rules, ticket())] == ["+15550001", "+15550002"]
    assert len(told(rules, ticket(), "sla_double_breach")) == 3
    assert rules.surface_hash == bundle().surface_hash


@pytest.mark.parametrize("words", ["+15550001", "dispatcher:email:a@b.example", "x:sms:", "a:b:c"])
def test_a_recipient_that_cannot_be_read_is_none_and_said_so(words: str) -> None:
    settings, (warning,) = load_settings({"DISPATCH_ESCALATION_RECIPIENTS": words})
    assert settings.escalation_recipients == ()
    assert "DISPATCH_ESCALATION_RECIPIENTS" in warning


def test_a_message_has_one_key_for_each_step_and_recipient() -> None:
    rules = installed({"dispatcher": {"sms": ["+15550001", "+15550002"]}})
    first, second = told(rules, ticket())
    assert (first[0], second[0]) == ("+15550001", "+15550002")
    assert first[2] != second[2]
    assert told(rules, ticket(State.DISPATCHED))[0][2] == first[2]
    assert told(rules, ticket(), "sla_breach")[0][2] != first[2]
    ((row, _), _) = messages(rules, ticket(), raised("sla_warning", NOW), OAKLAND)
    assert (row.event_type, row.payload["channel"]) == ("ticket.escalation.sms", "SMS")
    assert row.payload["message_key"] == row.idempotency_key


def test_who_is_told_of_a_step_reads_when_it_was_due_by_the_clocks_of_the_site() -> None:
    rules = installed({"dispatcher": {"sms": ["+15550001"]}})
    at = datetime(2030, 1, 7, 16, tzinfo=UTC)
    ((row, _),) = messages(rules, ticket(), raised("sla_warning", at), OAKLAND)
    assert row.payload["body"].endswith("level 1, due Mon 7 Jan, 8:00 AM PST")


def test_who_has_two_roles_is_told_once() -> None:
    rules = installed({role: {"sms": ["+15550001"]} for role in ("dispatcher", "manager")})
    assert len(told(rules, ticket(), "sla_double_breach")) == 1


def test_messages_wait_for_the_end_of_quiet_hours_unless_it_is_an_emergency() -> None:
    rules = installed({"dispatcher": {"sms": ["+15550001"]}})  # NOW is 4 in the morning there
    morning = datetime(2026, 11, 20, 15, 0, tzinfo=UTC)
    assert [at for _, at, _ in told(rules, ticket(priority=Priority.URGENT))] == [morning]
    assert [at for _, at, _ in told(rules, ticket(priority=Priority.EMERGENCY))] == [NOW]
    assert [at for _, at, _ in told(rules, ticket(), "sla_breach")] == [NOW]


@pytest.mark.parametrize(
    ("begins", "ends", "at", "over"),
    [
        ("21:00", "07:00", "2026-11-20T20:59:59", "2026-11-20T20:59:59"),
        ("21:00", "07:00", "2026-11-20T21:00:00", "2026-11-21T07:00:00"),
        ("21:00", "07:00", "2026-11-21T06:59:59", "2026-11-21T07:00:00"),
        ("21:00", "07:00", "2026-11-21T07:00:00", "2026-11-21T07:00:00"),
        ("12:00", "13:00", "2026-11-21T12:30:00", "2026-11-21T13:00:00"),
        ("12:00", "13:00", "2026-11-21T13:00:00", "2026-11-21T13:00:00"),
    ],
)
def test_quiet_hours_go_by_the_clock_of_the_site(
    begins: str, ends: str, at: str, over: str
) -> None:
    hours = QuietHours.model_validate({"begins": begins, "ends": ends})
    moment = datetime.fromisoformat(at).replace(tzinfo=LOS_ANGELES).astimezone(UTC)
    expected = datetime.fromisoformat(over).replace(tzinfo=LOS_ANGELES)
    assert hours.over_at(moment, LOS_ANGELES) == expected


def test_quiet_hours_that_end_in_an_hour_the_clock_skips_end_after_it() -> None:
    hours = QuietHours.model_validate({"begins": "21:00", "ends": "02:30"})
    night = datetime(2026, 3, 8, 9, 0, tzinfo=UTC)  # one in the morning; at two it is three
    assert hours.over_at(night, LOS_ANGELES) == datetime(2026, 3, 8, 10, 30, tzinfo=UTC)


@pytest.mark.parametrize(
    "rules",
    [
        {"counts_from": "rest"},
        {"counts_from": "rest", "states": ["CLOSED"]},
        {"counts_from": "sla", "states": ["NEW"]},
        {"counts_from": "sla", "after_minutes": [5]},
        {"counts_from": "sla", "repeats": 2},
        {"counts_from": "sla", "repeat_minutes": 2},
        {"counts_from": "rest", "states": ["NEW"], "after_minutes": [5, 5]},
        {"counts_from": "rest", "states": ["NEW"], "after_minutes": []},
        {"counts_from": "sla", "quiet_hours": {"begins": "07:00", "ends": "07:00"}},
    ],
)
def test_a_ladder_that_makes_no_sense_is_refused(rules: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        Ladder.model_validate(rules)


def test_the_ladders_of_the_contract_cannot_be_removed() -> None:
    ladders = bundle().escalation.model_dump(mode="json")["ladders"]
    for kind in ("sla_warning", "stuck_scheduling"):
        left = {name: rules for name, rules in ladders.items() if name != kind}
        with pytest.raises(BundleError):
            load_bundle({"escalation": {"ladders": left}})
    with pytest.raises(BundleError):
        load_bundle({"escalation": {"ladders": ladders | {"hold_expiry": ladders[REMINDER]}}})
