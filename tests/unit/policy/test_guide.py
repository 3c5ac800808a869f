"""The guide is complete: every tool, every field and every code has its words."""

import pytest

from policy.codes import Code
from policy.command.effects import Denial
from policy.command.payload import parse_payload
from policy.reads.guide import described_schema, load_guide
from policy.reads.parameters import PARAMETERS
from policy.rules.bundle import load_bundle

BUNDLE, GUIDE = load_bundle(), load_guide()
TOOLS = list(BUNDLE.tools)


def test_the_guide_knows_the_toolset_and_nothing_else() -> None:
    assert set(GUIDE.tools) == set(BUNDLE.tools)


def test_every_code_has_advice() -> None:
    assert set(GUIDE.advice) == set(Code)


def test_every_description_of_a_field_is_used() -> None:
    used = {field for name in BUNDLE.commands for field in fields(name)}
    assert set(GUIDE.fields) <= used


def test_the_queries_belong_to_read_tools() -> None:
    assert set(PARAMETERS) <= set(BUNDLE.tools) - set(BUNDLE.commands)


@pytest.mark.parametrize("name", TOOLS)
def test_a_tool_is_described(name: str) -> None:
    rule, guide = BUNDLE.tools[name], GUIDE.tools[name]
    schema = described_schema(name, rule)

    assert all(member["description"] for member in schema["properties"].values())
    assert "$ref" not in str(schema)
    assert set(guide.codes) <= set(Code)
    assert set(guide.fields) <= fields(name)
    assert (guide.repeat is not None) == rule.mutating


@pytest.mark.parametrize("name", TOOLS)
def test_an_example_is_a_valid_payload(name: str) -> None:
    example = dict(GUIDE.tools[name].example)
    if name in BUNDLE.commands:
        assert not isinstance(parse_payload(BUNDLE, name, example), Denial)
    assert set(example) <= fields(name)


def fields(name: str) -> set[str]:
    return set(described_schema(name, BUNDLE.tools[name])["properties"])
