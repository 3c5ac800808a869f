"""A terminal shows the texts of others, and none of them steers it."""

import ast
import re
from pathlib import Path
from typing import Any

import orjson
import pytest
import structlog

import cli
from cli import output, work
from cli.output import say, tell, tell_facts, tell_json
from cli.terminal import Terminal
from cli.tools.call import refusal_lines
from cli.tools.cards import card
from policy.printable import escaped, on_one_line, printable

ESCAPES = (
    *("\x1b[2J\x1b[1;1H", "\x1b]0;title\x07", "\x1b]52;c;cm0gLXJm\x07", "\x9b31m", "\x9d0;t\x9c"),
    *("\r\x1b[K", "\x08\x08\x08", "\x7f", "\x00", "\x0e", "\x1bP1$tx\x1b\\"),
    *("\N{RIGHT-TO-LEFT OVERRIDE}", "\N{LEFT-TO-RIGHT ISOLATE}", "\N{LINE SEPARATOR}"),
)
STEERING = {each for each in "".join(ESCAPES) if not each.isprintable()}
TICKET = {
    "id": "7f6a2b2c-8f1e-4f2b-b3a1-222222222222",
    "state": "NEW",
    "version": 0,
    "escalation_level": 0,
}


def shown(data: dict[str, Any]) -> str:
    terminal = Terminal(width=200)
    with terminal.capture() as capture:
        terminal.print(card("ticket.get", data))
    return capture.get()


@pytest.mark.parametrize("escape", ESCAPES)
@pytest.mark.parametrize("field", ["summary", "customer_name", "incident_type", "site_id"])
def test_a_summary_full_of_control_sequences_is_shown_without_them(field: str, escape: str) -> None:
    text = shown({**TICKET, field: f"Door {escape} jammed"})
    assert "jammed" in text
    assert not STEERING.intersection(text)
    assert shown({**TICKET, field: f"Door{escape[0]} jammed"}) == shown(
        {**TICKET, field: "Door jammed"}
    )


@pytest.mark.parametrize("escape", ESCAPES)
def test_what_is_told_is_told_without_control_sequences(
    capsys: pytest.CaptureFixture[str], escape: str
) -> None:
    for line in refusal_lines(409, {"code": f"X{escape}", "message": escape, "target_id": escape}):
        say(line)
    tell(f"held {escape}")
    tell_facts({"state": f"{escape}\nwhole"})
    printed = "".join(capsys.readouterr())
    assert not STEERING.intersection(printed)
    assert "\nwhole" not in printed


@pytest.mark.parametrize("escape", ESCAPES)
def test_json_says_the_same_and_steers_nothing(
    capsys: pytest.CaptureFixture[str], escape: str
) -> None:
    document = {f"summary{escape}": [escape]}
    tell_json(document)
    printed = capsys.readouterr().out
    assert orjson.loads(printed) == document
    assert not STEERING.intersection(printed)


@pytest.mark.parametrize("escape", ESCAPES)
def test_log_records_of_a_command_are_shown_without_control_sequences(
    capsys: pytest.CaptureFixture[str], escape: str
) -> None:
    before = structlog.get_config()
    try:
        work.say_records()
        structlog.get_logger().warning("outbox.failed", error=f"the provider says {escape}")
    finally:
        structlog.configure(**before)
    line = capsys.readouterr().err
    assert "the provider says" in line
    assert not STEERING.intersection(re.sub(r"\x1b\[\d*m", "", line))


def test_tabs_line_feeds_and_every_script_stay() -> None:
    text = "Tür\tnicht\n门卡住了 🚪 é"
    assert printable(text) == escaped(text) == text
    assert on_one_line(text) == text.replace("\n", "\\n")


SOURCES = sorted(set(Path(cli.__file__).parent.rglob("*.py")) - {Path(output.__file__)})


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.stem)
def test_there_is_one_way_to_the_terminal(path: Path) -> None:
    """Whatever a command prints passes through `cli.output`, which strips it."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call):
            assert ast.unparse(node.func) not in {"print", "typer.echo", "Console", "click.echo"}


def in_words(tool: str, data: dict[str, Any]) -> str:
    terminal = Terminal(width=250)
    with terminal.capture() as capture:
        terminal.print(card(tool, data))
    return capture.get()


def test_the_queue_tells_what_is_left_in_days_and_hours_and_of_a_promise_if_there_is_one() -> None:
    row = {
        "ticket_id": TICKET["id"],
        "sla_timer_remaining": "454:46",
        "sla_timer_remaining_minutes": 27_286,
        "sla_status": "healthy",
        "priority": "EMERGENCY",
        "state": "SCHEDULED",
        "incident_type": "DOOR",
        "site": {"name": "North"},
        "actions": [],
    }
    left = in_words("dispatcher.cockpit", {"queue": [row]})
    assert "18 d 22 h" in left
    assert "454:46" not in left
    late = {"due_at": "2026-11-20T12:00:00.000Z", "remaining_minutes": -61, "status": "breach"}
    assert "-1 h 1 min" in in_words("dispatcher.cockpit", {"queue": [{**row, "sla_promise": late}]})


def test_a_technician_reads_the_window_by_the_clocks_of_the_site() -> None:
    window = {"start": "2030-01-07T16:00:00.000Z", "end": "2030-01-07T18:00:00.000Z"}
    packet = {
        "header": {"ticket_id": TICKET["id"], "scheduled_window": window},
        "work_scope": {"summary": "Door"},
        "site_and_access": {
            "site_name": "North",
            "address": {"city": "Oakland", "country": "US"},
            "timezone": "America/Los_Angeles",
            "access_instructions": None,
            "onsite_contact": None,
        },
        "evidence_requirements": {"required_evidence": []},
        "checklist": {"required_items": []},
        "actions": [],
    }
    assert "Mon 7 Jan, 8:00-10:00 AM PST" in in_words("tech.job_packet", {"packet": packet})
