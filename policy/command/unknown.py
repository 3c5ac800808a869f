"""Unknown members: what a payload's schema does not name, and a command therefore never reads."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

Step = str | int


def unknown_members(schema: Mapping[str, Any], value: object) -> Iterator[tuple[Step, ...]]:
    """Yield the way to each member of a value that its JSON Schema does not name, at any depth.

    An object whose schema names no members at all may have any.
    """
    return _unknown(schema, value, (), schema.get("$defs", {}))


def _unknown(
    schema: Mapping[str, Any], value: object, way: tuple[Step, ...], known: Mapping[str, Any]
) -> Iterator[tuple[Step, ...]]:
    branches = [_followed(each, known) for each in (schema, *schema.get("anyOf", ()))]
    if isinstance(value, dict):
        for named in _first(branches, "properties"):
            for name, member in value.items():
                if name in named:
                    yield from _unknown(named[name], member, (*way, name), known)
                else:
                    yield (*way, name)
    if isinstance(value, list):
        for items in _first(branches, "items"):
            for place, member in enumerate(value):
                yield from _unknown(items, member, (*way, place), known)


def _first(branches: Sequence[Mapping[str, Any]], word: str) -> list[Mapping[str, Any]]:
    """Return what the first branch that has it says of members or items, as a list of one."""
    return [branch[word] for branch in branches if word in branch][:1]


def _followed(schema: Mapping[str, Any], known: Mapping[str, Any]) -> Mapping[str, Any]:
    followed: Mapping[str, Any] = schema
    if "$ref" in schema:
        followed = known[schema["$ref"].rpartition("/")[2]]
    return followed
