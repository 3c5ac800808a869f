"""Bodies are read as I-JSON (RFC 7493), strictly, so that every reader and hash agrees."""

from typing import Any, Final

import orjson
from pydantic import JsonValue

from api.wire.errors import InvalidJsonError
from policy.json_levels import CONTAINERS, SAFE_INTEGER, Level, levels, may_be_unsafe

MAX_DEPTH: Final = 100
MAX_NAME: Final = 1000
MAX_MEMBERS: Final = 200_000
MAX_NAMED: Final = 50_000
MAX_DEAR: Final = 10_000
"""How deep values may be nested, how long member names may be in characters, how many members and
elements there may be in all, how many members of objects, and how many that cost most: objects and
arrays that are not empty, and numbers that are no integers of up to 2^53-1."""


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
    unsafe, colons = may_be_unsafe(raw), _colons(raw)
    named = _check_extent(value, unsafe=unsafe)
    if colons != named and colons != orjson.dumps(value).count(b":"):
        raise InvalidJsonError("Not valid I-JSON: a member name occurs twice.")  # the last was read
    return _with_doubles(value) if unsafe else value


def is_json(raw: bytes) -> bool:
    """Tell whether a text is JSON at all, in UTF-8."""
    try:
        orjson.loads(raw)
    except orjson.JSONDecodeError:
        return False
    return True


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


def _check_extent(value: JsonValue, *, unsafe: bool) -> int:
    """Return how many members have a name, or raise `InvalidJsonError` for a value too large.

    All that is asked of every member is asked in one walk.
    """
    room, dear, nested = MAX_MEMBERS + 1, MAX_DEAR, MAX_DEPTH  # the value itself is no member
    named = 0
    for level in levels(value):
        room -= len(level.members)
        dear -= len(level.objects) + len(level.arrays) + _doubles(level, unsafe=unsafe)
        named += sum(map(len, level.objects))
        nested -= not level.kinds.isdisjoint(CONTAINERS)
        if room < 0:
            raise InvalidJsonError(f"Not valid here: more than {MAX_MEMBERS} members and elements.")
        if named > MAX_NAMED:
            raise InvalidJsonError(f"Not valid here: more than {MAX_NAMED} members with a name.")
        if dear < 0:
            dearest = "objects, arrays and numbers that are no integers of up to 2^53-1"
            raise InvalidJsonError(f"Not valid here: more than {MAX_DEAR} {dearest}.")
        if nested < 0:
            raise InvalidJsonError(f"Not valid here: nested deeper than {MAX_DEPTH}.")
        if max(map(len, level.names), default=0) > MAX_NAME:
            raise InvalidJsonError(f"Not valid here: a member name above {MAX_NAME} characters.")
    return named


def _doubles(level: Level, *, unsafe: bool) -> int:
    """Return how many numbers are doubles, or will be; `unsafe` tells that integers may be."""
    count = list(map(type, level.members)).count(float) if float in level.kinds else 0
    if unsafe and level.unsafe:
        integers = (each for each in level.members if type(each) is int)
        count += sum(not -SAFE_INTEGER <= each <= SAFE_INTEGER for each in integers)
    return count


def _colons(raw: bytes) -> int:
    """Return how many colons the text has, counting those that are written as escapes."""
    plain = raw.count(b":")
    if b"\\u003" not in raw:
        return plain
    escapes = raw.replace(b"\\\\", b"__")  # no backslash is left but where an escape begins
    return plain + escapes.count(b"\\u003a") + escapes.count(b"\\u003A")


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
