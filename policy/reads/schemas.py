"""The JSON Schemas of the commands' payloads."""

from collections.abc import Mapping
from typing import Any

from policy.command.registry import command_tool
from policy.values import PayloadModel

NULL = {"type": "null"}


def payload_schemas(names: Mapping[str, object]) -> dict[str, dict[str, Any]]:
    """Return the JSON Schema 2020-12 of each command's payload, by tool name."""
    return {name: schema_of(command_tool(name).payload) for name in names}


def schema_of(model: type[PayloadModel]) -> dict[str, Any]:
    """Return the JSON Schema of one payload model; null counts as missing (contract 1.1)."""
    schema = model.model_json_schema()
    optional = schema.get("properties", {}).keys() - schema.get("required", ())
    fields = {
        name: _or_null(member) if name in optional else member
        for name, member in schema.get("properties", {}).items()
    }
    return {**schema, "properties": fields}


def _or_null(member: dict[str, Any]) -> dict[str, Any]:
    if NULL in member.get("anyOf", ()):
        return member
    outside = {key: value for key, value in member.items() if key in {"default", "title"}}
    inside = {key: value for key, value in member.items() if key not in outside}
    return {"anyOf": [inside, NULL], **outside}
