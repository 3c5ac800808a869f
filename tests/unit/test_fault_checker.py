"""The laboratory's checker: silent about a true history, loud about every way to falsify it."""

from collections.abc import Callable
from dataclasses import replace
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.faults.checker import Law, check
from tests.faults.load.evidence import Call, Decision, Ending, Event, Evidence, Run
from tests.faults.load.moves import drawn

TICKET = "t"
STATES = ("NEW", "TRIAGED", "SCHEDULED", "DISPATCHED", "IN_PROGRESS")


def history(seed: int = 1, size: int = 5) -> Evidence:
    """Return what true clients see: each effect at an instant between request and answer."""
    draw = drawn(seed)
    calls, events, decisions = [], [], []
    for number in range(size):
        command, state = f"c{number}", STATES[number % len(STATES)]
        before = None if number == 0 else STATES[(number - 1) % len(STATES)]
        events.append(
            Event(
                ticket=TICKET,
                seq=number + 1,
                hash=f"h{number}",
                prev_hash="0" * 64 if number == 0 else f"h{number - 1}",
                command=command,
                before=before,
                after=state,
                version=number,
            )
        )
        decisions.append(Decision(command, "a", "tool", f"k{number}", allowed=True, digest="d"))
        effect = float(number + 1)
        shown: dict[str, Any] = {"state": state, "version": number, "command": command}
        calls += [
            call(f"k{number}", effect, draw, status=200, digest="d", **shown),
            call("", effect + 0.5, draw, status=200, state=state, version=number),
            call(f"x{number}", effect + 0.5, draw, Ending.FAIL, status=409, code="NO", state=state),
        ]
    runs = (Run("w", tuple(f"c{n}" for n in range(size)), (), ("1", "2"), ("1",)),)
    states = {TICKET: (events[-1].after or "", size - 1)}
    return Evidence(tuple(calls), tuple(events), tuple(decisions), runs, states)


def call(
    key: str,
    effect: float,
    draw: Random,
    ending: Ending = Ending.OK,
    **known: Any,  # noqa: ANN401
) -> Call:
    """Return a call around the instant of its effect."""
    return Call(
        client="me",
        actor="a",
        tool="tool",
        ticket=TICKET,
        key=key,
        invoked=effect - draw.random() * 2,
        ended=effect + draw.random() * 2,
        ending=ending,
        **known,
    )


@given(st.integers(0, 10_000), st.integers(1, 12))
def test_a_true_history_breaks_no_law(seed: int, size: int) -> None:
    assert check(history(seed, size)) == []


def changed(items: tuple[Any, ...], index: int, **fields: Any) -> tuple[Any, ...]:  # noqa: ANN401
    """Return `items` with one of them changed."""
    return (*items[:index], replace(items[index], **fields), *items[index + 1 :])


def late_answer(true: Evidence) -> Evidence:
    """Let the third command be answered before the second one was sent."""
    calls = changed(true.calls, 3, invoked=50.0, ended=51.0)
    return replace(true, calls=changed(calls, 6, invoked=1.0, ended=2.0))


def stale_read(true: Evidence) -> Evidence:
    """Let a read that began after the last answer show the first state."""
    calls = changed(true.calls, 1, invoked=90.0, ended=91.0)
    return replace(true, calls=calls)


def going_back(true: Evidence) -> Evidence:
    """Let a read show what is new, and a later one what was before, both within one command."""
    calls = changed(true.calls, 12, invoked=0.0, ended=100.0)
    new = replace(true.calls[13], invoked=20.0, ended=21.0)
    old = replace(true.calls[10], invoked=22.0, ended=23.0)
    return replace(true, calls=(*calls, new, old))


FALSE: dict[str, tuple[Law, Callable[[Evidence], Evidence]]] = {
    "an answered command without audit row": (
        Law.NOT_LOST,
        lambda true: replace(true, events=true.events[:-1]),
    ),
    "an answered command without log row": (
        Law.NOT_LOST,
        lambda true: replace(true, decisions=true.decisions[1:]),
    ),
    "a command answered 202 that is never decided": (
        Law.PROMISED,
        lambda true: replace(
            true,
            calls=(*true.calls, replace(true.calls[0], status=202, ending=Ending.UNKNOWN)),
            decisions=changed(true.decisions, 0, allowed=None),
        ),
    ),
    "a command answered 202 that no row tells of": (
        Law.PROMISED,
        lambda true: replace(
            true,
            calls=(
                *true.calls,
                replace(true.calls[0], command="gone", status=202, ending=Ending.UNKNOWN),
            ),
        ),
    ),
    "a promise that is open at the end": (
        Law.PROMISED,
        lambda true: replace(true, open_promises=("c0",)),
    ),
    "a command that was given up": (
        Law.EXPLAINED,
        lambda true: replace(
            true,
            decisions=(
                *true.decisions,
                Decision("c9", "a", "tool", "k9", allowed=False, code="INTERNAL_ERROR"),
            ),
        ),
    ),
    "a signal that is never decided": (
        Law.NOT_LOST,
        lambda true: replace(true, runs=(*true.runs, Run("w", ("nowhere",)))),
    ),
    "two audit rows of one command": (
        Law.ONCE,
        lambda true: replace(true, events=changed(true.events, 1, command="c0")),
    ),
    "a key that took effect under two commands": (
        Law.ONCE,
        lambda true: replace(true, decisions=changed(true.decisions, 1, key="k0")),
    ),
    "two answers to one key": (
        Law.ONCE,
        lambda true: replace(true, calls=(*true.calls, replace(true.calls[0], digest="other"))),
    ),
    "an answer that was not recorded": (
        Law.TRUE_ANSWERS,
        lambda true: replace(true, decisions=changed(true.decisions, 0, digest="other")),
    ),
    "a refusal of what took effect": (
        Law.TRUE_ANSWERS,
        lambda true: replace(true, calls=changed(true.calls, 0, ending=Ending.FAIL, code="NO")),
    ),
    "an answer before an earlier command was sent": (Law.ORDER, late_answer),
    "a stale read": (Law.ORDER, stale_read),
    "a read that goes back": (Law.ORDER, going_back),
    "a read of what never was": (
        Law.ORDER,
        lambda true: replace(true, calls=changed(true.calls, 1, state="CLOSED")),
    ),
    "a read of a version that never was": (
        Law.ORDER,
        lambda true: replace(true, calls=changed(true.calls, 1, version=77)),
    ),
    "a refusal for a state that never was": (
        Law.ORDER,
        lambda true: replace(true, calls=changed(true.calls, 2, state="CLOSED")),
    ),
    "a ticket not found after its creation": (
        Law.ORDER,
        lambda true: replace(
            true,
            calls=changed(
                true.calls, 14, invoked=90.0, ended=91.0, state=None, code="TICKET_NOT_FOUND"
            ),
        ),
    ),
    "an answer with another state": (
        Law.ORDER,
        lambda true: replace(true, calls=changed(true.calls, 0, state="CLOSED")),
    ),
    "a fork": (Law.CHAIN, lambda true: replace(true, events=changed(true.events, 2, seq=2))),
    "a torn chain": (
        Law.CHAIN,
        lambda true: replace(true, events=changed(true.events, 2, prev_hash="h0")),
    ),
    "a chain that ends elsewhere": (
        Law.CHAIN,
        lambda true: replace(true, states={TICKET: ("CLOSED", 4)}),
    ),
    "a record that was tampered with": (
        Law.CHAIN,
        lambda true: replace(true, broken_records=("tickets 1: changed",)),
    ),
    "a timer that fired twice": (
        Law.TIMERS,
        lambda true: replace(true, runs=changed(true.runs, 0, timers_fired=("1", "1"))),
    ),
    "a timer that fired and was cancelled": (
        Law.TIMERS,
        lambda true: replace(true, runs=changed(true.runs, 0, timers_canceled=("1",))),
    ),
    "a timer that nobody set": (
        Law.TIMERS,
        lambda true: replace(true, runs=changed(true.runs, 0, timers_fired=("1", "9"))),
    ),
    "two timers at once": (
        Law.TIMERS,
        lambda true: replace(true, runs=changed(true.runs, 0, timers_started=("1", "2", "3"))),
    ),
    "a timer that never fired": (
        Law.TIMERS,
        lambda true: replace(true, late_timers=(TICKET,)),
    ),
    "an escalation raised twice": (
        Law.TIMERS,
        lambda true: replace(true, double_timers=("t sla_breach",)),
    ),
    "a defect": (
        Law.EXPLAINED,
        lambda true: replace(true, calls=changed(true.calls, 2, status=500, ending=Ending.UNKNOWN)),
    ),
    "a nondeterminism error": (
        Law.EXPLAINED,
        lambda true: replace(true, runs=changed(true.runs, 0, failures=("nondeterminism",))),
    ),
}


@pytest.mark.parametrize(("law", "falsify"), FALSE.values(), ids=FALSE)
def test_a_false_history_breaks_the_law_that_it_should(
    law: Law, falsify: Callable[[Evidence], Evidence]
) -> None:
    assert law in {violation.law for violation in check(falsify(history()))}


def test_what_an_operators_blow_took_from_a_run_is_lost_only_if_it_was_acknowledged() -> None:
    struck = Run("w", ("unanswered",), struck=True)
    true = history()
    assert check(replace(true, runs=(*true.runs, struck))) == []


def test_a_command_of_unknown_fate_may_have_taken_effect_or_not() -> None:
    true = history()
    lost = replace(true.calls[12], ending=Ending.UNKNOWN, status=0, command=None, state=None)
    calls = (*true.calls[:12], lost, *true.calls[13:])
    assert check(replace(true, calls=calls)) == []
    nowhere = replace(lost, key="k99")
    assert check(replace(true, calls=(*true.calls, nowhere))) == []


def test_what_no_command_did_may_be_anywhere_in_the_chain() -> None:
    true = history()
    lost = replace(true.calls[12], ending=Ending.UNKNOWN, key="k99", command=None, invoked=90.0)
    delivery = replace(true.events[-1], seq=6, hash="h5", prev_hash="h4", command=None, after=None)
    events = (*true.events, delivery)
    late = replace(true.calls[1], invoked=3.0, ended=4.0, state="SCHEDULED", version=2)
    evidence = replace(true, calls=(*true.calls, lost, late), events=events)
    assert check(evidence) == []
    first = replace(delivery, seq=1, hash="d", prev_hash="0" * 64)
    moved = [
        replace(e, seq=e.seq + 1, prev_hash="d" if e.seq == 1 else e.prev_hash) for e in true.events
    ]
    assert check(replace(true, calls=(*true.calls, lost), events=(first, *moved))) == []


def test_a_timers_own_effect_may_be_anywhere() -> None:
    true = history()
    events = changed(true.events, 2, command="timer", version=None)
    calls = tuple(call for call in true.calls if call.key != "k2")
    decisions = tuple(each for each in true.decisions if each.key != "k2")
    runs = (replace(true.runs[0], signaled=("c0", "c1", "c3", "c4")),)
    evidence = replace(true, events=events, calls=calls, decisions=decisions, runs=runs)
    assert check(evidence) == []
