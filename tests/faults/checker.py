"""Judges a run from its evidence alone: pure, so that old evidence can be judged again.

Nothing acknowledged is lost, every promise is kept, nothing is done twice, each ticket's order is
linearizable, audit chains are whole, timers fire once, and whatever else went wrong is named.
"""

from collections import Counter, defaultdict
from collections.abc import Iterator
from enum import StrEnum
from typing import NamedTuple

from tests.faults.load.evidence import Call, Decision, Ending, Event, Evidence
from tests.faults.load.order import order_faults

GENESIS = "0" * 64
ACCEPTED = 202
DEFECT, GIVEN_UP = 500, "INTERNAL_ERROR"


class Law(StrEnum):
    """What must hold."""

    NOT_LOST = "nothing acknowledged is lost"
    PROMISED = "what was answered 202 is decided in the end"
    ONCE = "nothing is done twice"
    TRUE_ANSWERS = "answers say what was decided"
    ORDER = "each ticket's order is linearizable"
    CHAIN = "audit chains are whole"
    TIMERS = "timers fire once"
    EXPLAINED = "everything that failed is explained"


class Violation(NamedTuple):
    """One law broken, and by what."""

    law: Law
    text: str


def check(evidence: Evidence) -> list[Violation]:
    """Return every violation."""
    decisions = {decision.command: decision for decision in evidence.decisions}
    done = Counter(event.command for event in evidence.events if event.command)
    return [
        *(Violation(Law.NOT_LOST, text) for text in _lost(evidence, decisions, done)),
        *(Violation(Law.PROMISED, text) for text in _broken_promises(evidence, decisions)),
        *(Violation(Law.ONCE, text) for text in _doubled(evidence, done)),
        *(Violation(Law.TRUE_ANSWERS, text) for text in _false_answers(evidence, decisions)),
        *(Violation(Law.ORDER, text) for text in order_faults(evidence.calls, evidence.events)),
        *(Violation(Law.CHAIN, text) for text in _broken_chains(evidence)),
        *(Violation(Law.TIMERS, text) for text in _timer_faults(evidence)),
        *(Violation(Law.EXPLAINED, text) for text in _unexplained(evidence)),
    ]


def _lost(evidence: Evidence, decisions: dict[str, Decision], done: Counter[str]) -> Iterator[str]:
    for call in _commands(evidence):
        decision = decisions.get(call.command or "")
        if call.ending is Ending.OK and (decision is None or not decision.allowed):
            yield f"{_named(call)} was answered {call.status}, but is not recorded as allowed"
    effective = {each.identity for each in evidence.decisions if done[each.command]}
    for decision in evidence.decisions:
        if decision.allowed and decision.identity not in effective:
            yield f"{decision.tool} {decision.command} is allowed, but has no audit row"
    for run in evidence.runs:
        for command in () if run.struck else run.signaled:
            if command not in decisions or decisions[command].allowed is None:
                yield f"{run.workflow} was signaled {command}, which was never decided"


def _broken_promises(evidence: Evidence, decisions: dict[str, Decision]) -> Iterator[str]:
    for call in _commands(evidence):
        decision = decisions.get(call.command or "")
        if call.status == ACCEPTED and (decision is None or decision.allowed is None):
            yield f"{_named(call)} was accepted, but never decided"
    for command in evidence.open_promises:
        yield f"{command} is still promised"


def _doubled(evidence: Evidence, done: Counter[str]) -> Iterator[str]:
    for command, count in done.items():
        if count > 1:
            yield f"command {command} has {count} audit rows"
    effects = Counter(each.identity for each in evidence.decisions if done[each.command])
    for (actor, tool, key), count in effects.items():
        if count > 1:
            yield f"{tool} with key {key} of {actor} took effect by {count} commands"
    answers = defaultdict(set)
    for each in _commands(evidence):
        if each.ending is Ending.OK:
            answers[each.identity].add((each.status, each.digest))
    for identity, different in answers.items():
        if len(different) > 1:
            yield f"{identity[1]} with key {identity[2]} had {len(different)} different answers"


def _false_answers(evidence: Evidence, decisions: dict[str, Decision]) -> Iterator[str]:
    for call in _commands(evidence):
        decision = decisions.get(call.command or "")
        if decision is None or call.ending is Ending.UNKNOWN:
            continue
        if call.ending is Ending.OK and call.digest != decision.digest:
            yield f"{_named(call)} was answered otherwise than recorded"
        elif call.ending is Ending.FAIL and (decision.allowed or decision.code != call.code):
            yield f"{_named(call)} was refused as {call.code}, but recorded as {decision.code}"


def _broken_chains(evidence: Evidence) -> Iterator[str]:
    yield from evidence.broken_records
    chains: defaultdict[str, list[Event]] = defaultdict(list)
    for event in evidence.events:
        chains[event.ticket].append(event)
    for ticket, events in chains.items():
        events.sort(key=lambda event: event.seq)
        if [event.seq for event in events] != list(range(1, len(events) + 1)):
            yield f"the chain of {ticket} has gaps or repeats"
        hashes = [GENESIS, *(event.hash for event in events)]
        if any(e.prev_hash != before for e, before in zip(events, hashes, strict=False)):
            yield f"the chain of {ticket} is torn or forked"
        state = next((e.after for e in reversed(events) if e.after is not None), None)
        if state is not None and evidence.states.get(ticket, (state, 0))[0] != state:
            yield f"{ticket} is stored in another state than its chain ends in"


def _timer_faults(evidence: Evidence) -> Iterator[str]:
    yield from (f"the timer of {ticket} did not fire" for ticket in evidence.late_timers)
    yield from (f"a timer fired twice: {what}" for what in evidence.double_timers)
    for run in evidence.runs:
        endings = Counter((*run.timers_fired, *run.timers_canceled))
        for timer, count in endings.items():
            if count > 1 or timer not in run.timers_started:
                yield f"timer {timer} of {run.workflow} ended {count} times"
        if len(set(run.timers_started) - endings.keys()) > 1:
            yield f"{run.workflow} has more than one open timer"


def _unexplained(evidence: Evidence) -> Iterator[str]:
    for call in evidence.calls:
        if call.status == DEFECT:
            yield f"{_named(call)} was answered 500"
    for decision in evidence.decisions:
        if decision.code == GIVEN_UP:
            yield f"{decision.tool} {decision.command} was given up"
    for run in evidence.runs:
        for failure in run.failures:
            yield f"a task of {run.workflow} failed: {failure}"


def _commands(evidence: Evidence) -> Iterator[Call]:
    return (call for call in evidence.calls if not call.is_read)


def _named(call: Call) -> str:
    return f"{call.tool} {call.command or call.key} of {call.client}"
