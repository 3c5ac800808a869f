"""The guide: how to use the tools, in words for agents and people. It judges nothing."""

import tomllib
from collections.abc import Mapping
from enum import StrEnum
from functools import cache
from importlib.resources import files
from typing import Any

from policy.command.registry import command_tool
from policy.model import Frozen
from policy.reads.parameters import query_schema
from policy.reads.schemas import schema_of
from policy.rules.bundle import ToolRule


class Repeat(StrEnum):
    """What a second, identical call would do if it were not recognised as a retry."""

    ADDS = "adds"
    MOVES = "moves"
    ASKS = "asks"


class ToolGuide(Frozen):
    """One tool in words. `codes` are its own refusals, without those that every tool shares."""

    title: str
    does: str
    next: str
    repeat: Repeat | None = None
    codes: tuple[str, ...]
    example: Mapping[str, Any]
    fields: Mapping[str, str] = {}


class Guide(Frozen):
    """All of it: advice by error code, fields by name, tools by name; `instructions` come first."""

    instructions: str
    advice: Mapping[str, str]
    fields: Mapping[str, str]
    tools: Mapping[str, ToolGuide]


@cache
def load_guide() -> Guide:
    """Return the shipped guide."""
    text = (files("policy.reads") / "guide.toml").read_text("utf-8")
    return Guide.model_validate(tomllib.loads(text))


def described_schema(name: str, rule: ToolRule) -> dict[str, Any]:
    """Return the JSON Schema of a tool's payload (of a read: its query) for a reader.

    Every field is described; references are resolved, titles and nulls left out.
    """
    schema: dict[str, Any]
    schema, words = dict(query_schema(name)), {}
    if rule.mutating:
        guide = load_guide()
        schema = schema_of(command_tool(name).payload)
        words = {**guide.fields, **guide.tools[name].fields}
    fields: dict[str, Any] = {}
    for field, member in schema.get("properties", {}).items():
        plain = _plain(member, schema.get("$defs", {}))
        said = words.get(field) or plain.get("description", "")
        fields[field] = {**plain, "description": said}
    return {"type": "object", "properties": fields, "required": schema.get("required", [])}


def _plain(member: Any, known: Mapping[str, Any]) -> Any:  # noqa: ANN401  any JSON Schema
    if isinstance(member, list):
        return [_plain(each, known) for each in member]
    if not isinstance(member, dict):
        return member
    if "$ref" in member:
        return {**_plain(known[member["$ref"].rpartition("/")[2]], known), **_default(member)}
    choices = [each for each in member.get("anyOf", ()) if each != {"type": "null"}]
    if len(choices) == 1:
        return {**_plain(choices[0], known), **_default(member)}
    plain = {
        key: _plain(value, known)
        for key, value in member.items()
        if not (key == "title" and isinstance(value, str))
    }
    if plain.get("default", "") is None:
        del plain["default"]
    return plain


def _default(member: Mapping[str, Any]) -> dict[str, Any]:
    return {} if member.get("default") is None else {"default": member["default"]}
