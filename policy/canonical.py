"""RFC 8785 canonical JSON and the one hash made of it (contract 13.1)."""

import hashlib
import math
import re
from collections.abc import Iterable, Mapping
from operator import methodcaller
from typing import Any

import orjson
from pydantic import JsonValue

from policy.json_levels import ARRAYS, CONTAINERS, SAFE_INTEGER, Level, levels, may_be_unsafe

SCALARS = (str, int, float, type(None))
JSON = CONTAINERS | {*SCALARS, bool}
# Outside of these, JavaScript writes a double in another way than orjson does.
SMALLEST_ALIKE, PLAIN_LIMIT, EXPONENT_LIMIT = 1e-5, 1e16, 1e21
SMALLEST_PLAIN = 1e-6
MARKS = (b".", b"e+", b"e-", b"null")
"""One of them is in every text that has a double; without one only large integers are at stake."""
_ABOVE_SURROGATES = re.compile("[\ue000-\uffff]")


def canonical_bytes(value: JsonValue) -> bytes:
    """Return the RFC 8785 form of `value`; integers beyond 2**53-1 count as doubles.

    Raises ValueError for what has none. Plain compact JSON has that form already, but for some
    numbers, which are written anew, and the order of names beyond U+FFFF.
    """
    try:
        text = orjson.dumps(value, option=orjson.OPT_SORT_KEYS)
    except orjson.JSONEncodeError:  # an integer of more than 64 bits, unless it is no JSON
        text = None
    if text is not None and text.isascii() and not _may_differ(text):
        return text
    numbers, order = _judged(value)
    if text is not None and not numbers and not order:
        return text
    if order:
        value = _in_order(value)
    if numbers:
        value = _with_numbers(value, numbers, CONTAINERS.union(map(type, numbers)))
    try:
        return orjson.dumps(value, option=None if order else orjson.OPT_SORT_KEYS)
    except orjson.JSONEncodeError as error:
        raise ValueError(f"no canonical form: {error}") from None


def sha256_hex(value: JsonValue) -> str:
    """Return the lower-case hex SHA-256 of the canonical form of `value`."""
    return hashlib.sha256(canonical_bytes(value)).hexdigest()


def _may_differ(text: bytes) -> bool:
    """Whether there may be a number in a JSON text that JavaScript writes in another way."""
    return any(mark in text for mark in MARKS) or may_be_unsafe(text)


def _judged(value: JsonValue) -> tuple[dict[float, object], bool]:
    """Return what is written for numbers that orjson writes otherwise, and whether to order names.

    Every number is looked at once, however often it stands there.
    """
    numbers: set[float] = set()
    order = False
    for level in levels(value):
        kinds = level.kinds
        if not (kinds <= JSON or all(issubclass(kind, SCALARS) for kind in kinds - JSON)):
            raise ValueError("no canonical form: not every value in it is JSON")
        if float in kinds or level.unsafe:
            numbers.update(_numbers_of(level))
        names = "".join(level.names)
        order = order or not (names.isascii() or _ordered_alike(names))
    written = ((each, _number(each)) for each in numbers if not _is_alike(each))
    return {number: text for number, text in written if text is not number}, order


def _numbers_of(level: Level) -> Iterable[float]:
    """Return what may be written otherwise: no small integer, for it equals a double that is."""
    if level.unsafe:
        yield from (each for each in level.members if type(each) is int and not _is_alike(each))
    yield from (each for each in level.members if type(each) is float)


def _ordered_alike(names: str) -> bool:
    """Whether names of these characters have one order by code points and by UTF-16."""
    is_basic = len(names.encode("utf-16-le")) == 2 * len(names)
    return is_basic or _ABOVE_SURROGATES.search(names) is None


def _in_order(value: Any) -> Any:  # noqa: ANN401  any JSON value
    """Return `value` with the members of its objects ordered by the UTF-16 of their names."""
    if isinstance(value, dict):
        return {
            name: _in_order(value[name]) if type(value[name]) in CONTAINERS else value[name]
            for name in sorted(value, key=methodcaller("encode", "utf-16-be"))
        }
    return [_in_order(each) for each in value] if isinstance(value, list | tuple) else value


def _with_numbers(
    value: Any,  # noqa: ANN401  any JSON value
    numbers: Mapping[float, object],
    kinds: frozenset[type],
) -> Any:  # noqa: ANN401  any JSON value
    """Return `value` with its numbers such that orjson writes them as JavaScript does.

    `kinds` are the types of what may change: containers, unless they are empty, and numbers.
    """
    if type(value) is dict:
        return value | {
            name: _with_numbers(each, numbers, kinds)
            for name, each in value.items()
            if type(each) in kinds and (each or each == 0)
        }
    if type(value) in ARRAYS:
        return [
            _with_numbers(each, numbers, kinds)
            if type(each) in kinds and (each or each == 0)
            else each
            for each in value
        ]
    return numbers.get(value, value)


def _is_alike(number: float) -> bool:
    """Whether orjson writes a number as JavaScript does, as far as its size tells."""
    if type(number) is int:
        return -SAFE_INTEGER <= number <= SAFE_INTEGER
    return SMALLEST_ALIKE <= abs(number) < PLAIN_LIMIT and not number.is_integer()


def _number(number: float) -> object:
    """Return what orjson writes as JavaScript writes `number` (ECMA-262, Number::toString)."""
    number = float(number)
    size = abs(number)
    if size < PLAIN_LIMIT and number.is_integer():
        return int(number)
    if not size < EXPONENT_LIMIT or size < SMALLEST_PLAIN:
        if not math.isfinite(number):
            raise ValueError("no canonical form: a number is not finite")
        return number
    return _plain(number)


def _plain(number: float) -> orjson.Fragment:
    """Return the shortest digits of a double without the exponent that they come with."""
    digits, _, exponent = orjson.dumps(number).partition(b"e")
    power, sign = int(exponent), b"-" if number < 0 else b""
    if power < 0:
        zeros = b"0." + b"0" * (-power - 1)
        return orjson.Fragment(sign + zeros + digits.lstrip(b"-").replace(b".", b""))
    return orjson.Fragment(digits.replace(b".", b"").ljust(len(sign) + power + 1, b"0"))
