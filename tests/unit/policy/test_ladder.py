"""The autonomy ladder, cell by cell, and that the decision obeys it."""

from itertools import product

import pytest

from policy.autonomy.model import AutonomyRow
from policy.codes import Code
from policy.command.effects import Denial, Effects
from policy.model import State
from policy.rules.autonomy import AutonomyRules, Level, Verdict, verdict
from policy.rules.bundle import BundleError, load_bundle
from policy.ticket.facts import TicketFacts
from tests.unit.facts_builder import bundle, command, decided, facts, ticket
from tests.unit.payloads import TICKET

DISPATCH, RECOMMEND = "assignment.dispatch", "assignment.recommend"
TABLE = {  # (level, paused, proposes)
    (Level.OFF, False, False): Verdict.OFF,
    (Level.OFF, False, True): Verdict.OFF,
    (Level.OFF, True, False): Verdict.PAUSED,
    (Level.OFF, True, True): Verdict.PAUSED,
    (Level.SHADOW, False, False): Verdict.SHADOW,
    (Level.SHADOW, False, True): Verdict.RUN,
    (Level.SHADOW, True, False): Verdict.PAUSED,
    (Level.SHADOW, True, True): Verdict.PAUSED,
    (Level.AUTO, False, False): Verdict.RUN,
    (Level.AUTO, False, True): Verdict.RUN,
    (Level.AUTO, True, False): Verdict.PAUSED,
    (Level.AUTO, True, True): Verdict.PAUSED,
}
LADDER = {DISPATCH: {"*": Level.SHADOW, "DOOR_WONT_LATCH": Level.AUTO, "GLASS": Level.OFF}}
RULES = AutonomyRules(default=Level.SHADOW, proposals=(RECOMMEND,), ladder=LADDER)


@pytest.mark.parametrize(("cell", "expected"), TABLE.items())
def test_every_cell_of_the_truth_table(cell: tuple[Level, bool, bool], expected: Verdict) -> None:
    level, paused, proposes = cell
    assert verdict(level, paused=paused, proposes=proposes) is expected


def test_the_table_has_every_cell() -> None:
    assert set(TABLE) == set(product(Level, (False, True), (False, True)))


@pytest.mark.parametrize(
    ("tool", "incident_type", "level"),
    [
        (DISPATCH, "DOOR_WONT_LATCH", Level.AUTO),
        (DISPATCH, " door_wont_latch ", Level.AUTO),
        (DISPATCH, "GLASS", Level.OFF),
        (DISPATCH, "OTHER", Level.SHADOW),
        (DISPATCH, None, Level.SHADOW),
        (DISPATCH, "*", Level.SHADOW),
        ("ticket.cancel", "DOOR_WONT_LATCH", Level.SHADOW),
    ],
)
def test_the_level_is_that_of_the_type_then_of_any_type_then_the_default(
    tool: str, incident_type: str | None, level: Level
) -> None:
    assert RULES.level(tool, incident_type) is level


def test_the_shipped_ladder_dispatches_and_leaves_everything_else_in_the_shadow() -> None:
    rules = bundle().autonomy
    running = {
        tool
        for tool in bundle().commands
        if rules.verdict(tool, "DOOR_WONT_LATCH", paused=False) is Verdict.RUN
    }
    assert running == {DISPATCH, RECOMMEND}


@pytest.mark.parametrize(
    "change",
    [
        {"ladder": {"ticket.other": {"*": "auto"}}},
        {"ladder": {"ticket.get": {"*": "auto"}}},
        {"ladder": {DISPATCH: {"*": "sometimes"}}},
        {"ladder": {DISPATCH: {"lower case": "auto"}}},
        {"proposals": ["ticket.other"]},
        {"default": "on"},
    ],
)
def test_a_ladder_that_is_not_whole_does_not_load(change: dict[str, object]) -> None:
    with pytest.raises(BundleError):
        load_bundle({"autonomy": change})


def judged(*, automated: bool, facts_: TicketFacts, level: str = "auto") -> Effects | Denial:
    rules = load_bundle({"autonomy": {"ladder": {DISPATCH: {"*": level}}}})
    call = command(DISPATCH).model_copy(update={"automated": automated})
    return decided(rules, facts_, call)


def in_scope(scope_type: str, *, paused: bool) -> AutonomyRow:
    ticket_id = TICKET if scope_type == "TICKET" else None
    incident_type = "DOOR_WONT_LATCH" if scope_type == "INCIDENT" else None
    return AutonomyRow(
        scope_type=scope_type,
        incident_type=incident_type,
        ticket_id=ticket_id,
        is_paused=paused,
        reason="stop",
    )


def test_a_pause_denies_automation_and_nobody_else() -> None:
    paused = facts(ticket(State.SCHEDULED), autonomy=(in_scope("GLOBAL", paused=True),))
    denial = judged(automated=True, facts_=paused)
    assert isinstance(denial, Denial)
    assert denial.code is Code.AUTONOMY_DISABLED
    assert (denial.details["scope_id"], denial.details["reason"]) == ("GLOBAL", "stop")
    assert isinstance(judged(automated=False, facts_=paused), Effects)


def test_a_ticket_that_was_let_go_overrides_a_global_pause() -> None:
    rows = (in_scope("GLOBAL", paused=True), in_scope("TICKET", paused=False))
    let_go = facts(ticket(State.SCHEDULED), autonomy=rows)
    assert isinstance(judged(automated=True, facts_=let_go), Effects)


@pytest.mark.parametrize("level", ["off", "shadow"])
def test_below_auto_automation_changes_nothing_even_if_it_tries(level: str) -> None:
    denial = judged(automated=True, facts_=facts(ticket(State.SCHEDULED)), level=level)
    assert isinstance(denial, Denial)
    assert denial.code is Code.AUTONOMY_DISABLED
    assert (denial.details["scope_type"], denial.details["scope_id"]) == ("TOOL", DISPATCH)
    assert level in denial.details["reason"]
