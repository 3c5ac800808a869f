"""Bodies are read as I-JSON (RFC 7493), strictly, so that every reader and hash agrees."""

import re
from typing import Any, Final

import orjson
from pydantic import JsonValue

from api.wire.errors import InvalidJsonError
from policy.json_levels import CONTAINERS, SAFE_INTEGER, levels

MAX_DEPTH: Final = 100
MAX_NAME: Final = 1000
MAX_MEMBERS: Final = 200_000
"""How deep values may be nested, how long member names may be in characters, and how many members
and elements there may be in all."""
_ESCAPED_COLON: Final = re.compile(rb"(?<!\\)(?:\\\\)*\\u003[aA]")


def parse_body(raw: bytes) -> JsonValue:
    """Return the value of a request body; empty, only white space and `null` count as `{}`.

    Raises `InvalidJsonError` for whatever is not I-JSON.
    """
    value = parse_json(raw) if raw.strip() else None
    return {} if value is None else value


def parse_json(raw: bytes) -> JsonValue:
    """Return the value of an I-JSON text, or raise `InvalidJsonError`.

    Integers beyond 2^53-1 become the nearest double, as in JavaScript and for RFC 8785.
    """
    try:
        value: JsonValue = orjson.loads(raw)
    except orjson.JSONDecodeError as error:
        raise InvalidJsonError(f"Not valid I-JSON: {error}.") from None
    unsafe = _check_extent(value)
    if _colons(raw) != orjson.dumps(value).count(b":"):  # of equal names, only the last is read
        raise InvalidJsonError("Not valid I-JSON: a member name occurs twice.")
    return _with_doubles(value) if unsafe else value


def check_members(raw: bytes, most: int) -> None:
    """Raise `InvalidJsonError` for a text of more than so many members and elements.

    Whether it is good JSON otherwise is left to whoever reads it.
    """
    try:
        value = orjson.loads(raw)
    except orjson.JSONDecodeError:
        return
    if sum(len(level.members) for level in levels(value)) > most:
        raise InvalidJsonError(f"Not valid here: more than {most} members and elements.")


def _check_extent(value: JsonValue) -> bool:
    """Raise `InvalidJsonError` for a value that is too large; return whether it has large integers.

    All that is asked of every member is asked in one walk.
    """
    room, nested, unsafe = MAX_MEMBERS + 1, MAX_DEPTH, False  # the value itself is no member
    for level in levels(value):
        room -= len(level.members)
        unsafe = unsafe or level.unsafe
        nested -= not level.kinds.isdisjoint(CONTAINERS)
        if room < 0:
            raise InvalidJsonError(f"Not valid here: more than {MAX_MEMBERS} members and elements.")
        if nested < 0:
            raise InvalidJsonError(f"Not valid here: nested deeper than {MAX_DEPTH}.")
        if max(map(len, level.names), default=0) > MAX_NAME:
            raise InvalidJsonError(f"Not valid here: a member name above {MAX_NAME} characters.")
    return unsafe


def _colons(raw: bytes) -> int:
    """Return how many colons the text has, counting those that are written as escapes."""
    escaped = b"\\u003" in raw
    return raw.count(b":") + (len(_ESCAPED_COLON.findall(raw)) if escaped else 0)


def _with_doubles(value: JsonValue) -> JsonValue:
    """Return `value`, which is ours alone, with doubles for its large integers."""
    for level in levels(value):
        for array in level.arrays:
            array[:] = map(_double, array)
        for members in level.objects:
            members.update({name: _double(member) for name, member in members.items()})
    whole: JsonValue = _double(value)
    return whole


def _double(value: Any) -> Any:  # noqa: ANN401  any JSON value
    large = type(value) is int and not -SAFE_INTEGER <= value <= SAFE_INTEGER
    return float(value) if large else value
