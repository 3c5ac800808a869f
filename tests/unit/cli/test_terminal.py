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
