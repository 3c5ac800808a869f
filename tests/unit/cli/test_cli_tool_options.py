"""The commands generated from the registry: one per tool, their options, their help."""

import shlex
import sys
from importlib.resources import files
from typing import Any

import pytest
import typer

from cli import main as cli
from cli.tools.listing import EXAMPLE_TICKET, epilog_of, place_of
from cli.tools.options import PREFIX, fields_of, payload_of
from cli.tools.toolset import FILE, load_toolset
from cli.tools.toolset_file import toolset_file
from policy.reads.guide import described_schema, load_guide
from policy.rules.bundle import load_bundle

BUNDLE, GUIDE = load_bundle(), load_guide()
OWN_OPTIONS = {"--data", "--as", "--token-file", "--json", "--data-dir", "--key", "--wait"}
SCHEMA = {
    "properties": {
        "reason": {"type": "string"},
        "limit": {"type": "integer"},
        "share": {"type": "number"},
        "ready": {"type": "boolean"},
        "mode": {"enum": ["A", "B"]},
        "words": {"type": "array", "items": {"type": "string"}},
        "states": {"type": "array", "items": {"enum": ["X", "Y"]}},
        "window": {"type": "object"},
        "windows": {"type": "array", "items": {"type": "object"}},
    },
    "required": ["reason", "window"],
}
FIELDS = {field.name: field for field in fields_of(SCHEMA)}


def help_of(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *words: str
) -> str:
    monkeypatch.setattr(sys, "argv", ["dispatch", *words, "--help"])
    with pytest.raises(SystemExit) as ending:
        cli.main()
    assert not ending.value.code
    return capsys.readouterr().out


def test_the_terminal_s_toolset_is_the_one_that_the_registry_makes() -> None:
    shipped = (files("cli.tools") / FILE).read_bytes()
    assert shipped == toolset_file(), "run: make docs"


def test_every_tool_has_a_place_of_its_own() -> None:
    places = [place_of(name) for name in BUNDLE.tools]
    assert len(set(places)) == len(places) == 45
    assert place_of("ticket.blind_intake") == ("ticket", "blind-intake")
    assert place_of("ops.autonomy.pause") == ("ops", "autonomy", "pause")
    assert place_of("dispatcher.cockpit") == ("cockpit",)


@pytest.mark.parametrize("name", BUNDLE.tools)
def test_every_tool_has_a_command_with_help_and_examples(
    name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    text = help_of(monkeypatch, capsys, *place_of(name))
    rule = BUNDLE.tools[name]
    examples = text.partition("Examples:")[2]

    assert " ".join(GUIDE.tools[name].does.split()[:4]) in text
    assert f"dispatch {' '.join(place_of(name))}" in examples
    for field in fields_of(described_schema(name, rule)):
        assert (f"{field.option} " in text) == (field.type is not None)
        assert field.option not in OWN_OPTIONS
    assert ("--key" in text) == rule.mutating
    assert ("{TICKET}" in text) == rule.requires_ticket_id


@pytest.mark.parametrize("name", BUNDLE.tools)
def test_the_first_example_says_what_the_guide_says(name: str) -> None:
    words = shlex.split(epilog_of(load_toolset().tools[name]).splitlines()[2])
    rest = words[1 + len(place_of(name)) :]
    if BUNDLE.tools[name].requires_ticket_id:
        assert rest.pop(0) == EXAMPLE_TICKET
    assert bool(rest) == bool(GUIDE.tools[name].example)


@pytest.mark.parametrize(
    ("field", "kind"),
    [
        ("reason", str),
        ("limit", int),
        ("share", float),
        ("ready", bool),
        ("words", list[str]),
        ("states", list[str]),
        ("window", None),
        ("windows", None),
    ],
)
def test_the_type_of_an_option(field: str, kind: object) -> None:
    assert FIELDS[field].type == kind


def test_an_option_of_few_words_offers_them() -> None:
    assert FIELDS["mode"].type.__args__ == ("A", "B")
    assert "One of: X, Y." in FIELDS["states"].help


def test_options_complete_and_overrule_the_data() -> None:
    given: dict[str, Any] = {PREFIX + "reason": "b", PREFIX + "ready": False, PREFIX + "words": []}
    data = '{"reason": "a", "window": {}, "extra": 1}'
    assert payload_of(tuple(FIELDS.values()), given, data) == {
        "reason": "b",
        "window": {},
        "extra": 1,
        "ready": False,
    }


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (None, "missing: --reason, window (in --data)"),
        ("{", "cannot be read"),
        ("1", "must be a JSON object"),
        ("@/nowhere", "cannot be read"),
    ],
)
def test_what_is_missing_or_unreadable_is_wrong_usage(data: str | None, said: str) -> None:
    with pytest.raises(typer.BadParameter) as wrong:
        payload_of(tuple(FIELDS.values()), {}, data)
    assert said in wrong.value.message
