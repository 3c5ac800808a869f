"""The MCP tools: the closed toolset, with what an agent must know before it calls."""

import pytest
from jsonschema import Draft202012Validator

from mcp_server.catalog import OUTPUT, catalog
from mcp_server.tool_names import spoken
from policy.command.registry import alias
from policy.reads.guide import load_guide
from policy.rules.bundle import load_bundle

BUNDLE, GUIDE = load_bundle(), load_guide()
CATALOG = catalog(BUNDLE)
LIST_LIMIT_BYTES = 80_000


def test_the_names_are_the_toolset_with_underscores() -> None:
    assert list(CATALOG) == [alias(name) for name in BUNDLE.tools]
    assert all(name == tool.name and "." not in name for name, tool in CATALOG.items())


def test_the_list_fits_into_an_agents_context() -> None:
    listed = (tool.model_dump_json(by_alias=True, exclude_none=True) for tool in CATALOG.values())
    assert sum(map(len, listed)) < LIST_LIMIT_BYTES


@pytest.mark.parametrize("name", BUNDLE.tools)
def test_a_tool_says_what_an_agent_must_know(name: str) -> None:
    rule, guide, tool = BUNDLE.tools[name], GUIDE.tools[name], CATALOG[alias(name)]
    text = tool.description or ""

    assert spoken(guide.does) in text
    assert spoken(guide.next) in text
    assert all(role in text for role in rule.roles)
    assert all(state in text for state in rule.from_states or ())
    assert all(f"If {code}: {spoken(GUIDE.advice[code])}" in text for code in guide.codes)


@pytest.mark.parametrize("name", BUNDLE.tools)
def test_the_hints_follow_from_the_registry(name: str) -> None:
    rule, hints = BUNDLE.tools[name], CATALOG[alias(name)].annotations
    assert hints is not None
    assert hints.read_only_hint == (not rule.mutating)
    assert hints.idempotent_hint
    assert hints.destructive_hint == (rule.result_state in {"CLOSED", "CANCELLED"})


@pytest.mark.parametrize("name", BUNDLE.tools)
def test_the_arguments_are_ticket_payload_and_key(name: str) -> None:
    rule, schema = BUNDLE.tools[name], CATALOG[alias(name)].input_schema
    arguments = dict(GUIDE.tools[name].example)
    if rule.requires_ticket_id:
        arguments["ticket_id"] = "94c09184-0e2f-5232-9361-45479ec0e9e2"
    if rule.mutating:
        arguments["request_id"] = "5f0c9a52-6d0c-4a3e-9a54-333333333333"

    Draft202012Validator.check_schema(schema)
    Draft202012Validator(schema).validate(arguments)
    assert ("ticket_id" in schema["required"]) == rule.requires_ticket_id
    assert ("request_id" in schema["properties"]) == rule.mutating
    assert "request_id" not in schema["required"]
    assert not Draft202012Validator(schema).is_valid({**arguments, "tool": "ticket.close"})


def test_texts_name_tools_as_mcp_lists_them() -> None:
    assert spoken("ops.autonomy.pause, then tech.complete.") == (
        "ops_autonomy_pause, then tech_complete."
    )


def test_the_schema_of_answers_is_valid() -> None:
    Draft202012Validator.check_schema(OUTPUT)
