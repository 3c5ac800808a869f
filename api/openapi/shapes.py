"""The answer shapes of `shapes.toml` as JSON Schema, for the OpenAPI document."""

import tomllib
from collections.abc import Iterator, Mapping
from functools import cache
from importlib.resources import files
from typing import Any

from pydantic import BaseModel, ConfigDict

from policy.codes import Code
from policy.deadlines.sla import SlaStatus
from policy.model import Priority, State

REF = "#/components/schemas/"
TEXT: Mapping[str, Any] = {"type": "string"}
TYPES: Mapping[str, Mapping[str, Any]] = {
    "uuid": {"type": "string", "format": "uuid"},
    "text": TEXT,
    "time": {"type": "string", "format": "date-time"},
    "hash": {"type": "string", "pattern": "^[0-9a-f]{64}$"},
    "int": {"type": "integer"},
    "bool": {"type": "boolean"},
    "object": {"type": "object"},
    "any": {},
}
ENUMS = {"State": State, "Priority": Priority, "SlaStatus": SlaStatus}


class Shapes(BaseModel):
    """The document: shapes by name, and the shape of each tool's answer."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    shapes: Mapping[str, str]
    answers: Mapping[str, str]


@cache
def load_shapes() -> Shapes:
    """Return the shipped shapes."""
    return Shapes.model_validate(
        tomllib.loads((files("api.openapi") / "shapes.toml").read_text("utf-8"))
    )


def shape_schemas() -> dict[str, dict[str, Any]]:
    """Return every shape as JSON Schema. Further keys may come, so none is closed."""
    shapes = load_shapes().shapes
    enums = {name: {"type": "string", "enum": list(words)} for name, words in ENUMS.items()}
    objects = {name: _object(dict(_members(words))) for name, words in shapes.items()}
    return {**enums, **objects, "Error": _error_schema()}


def answer_schema(tool: str) -> dict[str, str]:
    """Return the schema of a tool's answer; most commands answer the ticket."""
    return reference(load_shapes().answers.get(tool, "Ticket"))


def reference(name: str) -> dict[str, str]:
    """Return a reference to a shape."""
    return {"$ref": REF + name}


def _members(words: str) -> Iterator[tuple[str, str]]:
    for word in words.split():
        if word.startswith("*"):
            yield from _members(load_shapes().shapes[word[1:]])
        else:
            name, _, kind = word.partition(":")
            yield name, kind


def _object(members: Mapping[str, str]) -> dict[str, Any]:
    properties = {name.rstrip("?"): _schema(kind) for name, kind in members.items()}
    required = [name for name in members if not name.endswith("?")]
    return {"type": "object", "required": required, "properties": properties}


def _schema(kind: str) -> dict[str, Any]:
    if kind.endswith("?"):
        return {"anyOf": [_schema(kind[:-1]), {"type": "null"}]}
    if kind.endswith("[]"):
        return {"type": "array", "items": _schema(kind[:-2])}
    if kind.startswith("#"):
        return dict(reference(kind[1:]))
    return dict(TYPES[kind])


def _error_schema() -> dict[str, Any]:
    error = {
        "type": "object",
        "required": ["code", "message", "request_id"],
        "properties": {
            "code": {"type": "string", "enum": list(Code)},
            "message": TEXT,
            "request_id": {"type": ["string", "null"]},
            "correlation_id": TEXT,
            "policy_error": {"type": "object", "properties": {"dimension": TEXT}},
        },
        "additionalProperties": True,
    }
    return {"type": "object", "required": ["error"], "properties": {"error": error}}
