"""RFC 8785 canonical JSON and the one hash made of it (contract 13.1)."""

import hashlib
import math
import re
from functools import lru_cache
from operator import methodcaller
from typing import Any

import orjson
from pydantic import JsonValue

from policy.json_levels import CONTAINERS, SAFE_INTEGER, levels

SCALARS = (str, int, float, type(None))
JSON = CONTAINERS | {*SCALARS, bool}
# Outside of these, JavaScript writes a double in another way than orjson does.
SMALLEST_ALIKE, PLAIN_LIMIT, EXPONENT_LIMIT = 1e-5, 1e16, 1e21
SMALLEST_PLAIN = 1e-6
MARKS = (b".", b"e+", b"e-", b"null")
"""One of them is in every text that has a double; without one only large integers are at stake."""
_ABOVE_SURROGATES = re.compile("[\ue000-\uffff]")
_LARGE = re.compile(rb"[0-9]{16}")


def canonical_bytes(value: JsonValue) -> bytes:
    """Return the RFC 8785 form of `value`; integers beyond 2**53-1 count as doubles.

    Raises ValueError for what has none. Plain compact JSON has that form already, but for some
    numbers, which are written anew, and the order of names beyond U+FFFF.
    """
    try:
        text = orjson.dumps(value, option=orjson.OPT_SORT_KEYS)
    except orjson.JSONEncodeError:  # an integer of more than 64 bits, unless it is no JSON
        text = b"null"
    if text.isascii() and not any(mark in text for mark in MARKS) and not _LARGE.search(text):
        return text
    numbers, order = _judged(value)
    if order:
        value = _in_order(value)
    if numbers:
        value = _with_numbers(value)
    try:
        return orjson.dumps(value, option=None if order else orjson.OPT_SORT_KEYS)
    except orjson.JSONEncodeError as error:
        raise ValueError(f"no canonical form: {error}") from None


def sha256_hex(value: JsonValue) -> str:
    """Return the lower-case hex SHA-256 of the canonical form of `value`."""
    return hashlib.sha256(canonical_bytes(value)).hexdigest()


def _judged(value: JsonValue) -> tuple[bool, bool]:
    """Return whether numbers must be written anew, and whether names must be put in order."""
    numbers = order = False
    for level in levels(value):
        kinds, names = level.kinds, "".join(level.names)
        if not (kinds <= JSON or all(issubclass(kind, SCALARS) for kind in kinds - JSON)):
            raise ValueError("no canonical form: not every value in it is JSON")
        numbers = numbers or float in kinds or level.unsafe
        order = order or not (names.isascii() or _ordered_alike(names))
    return numbers, order


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


def _with_numbers(value: Any) -> Any:  # noqa: ANN401  any JSON value
    """Return `value` with its numbers such that orjson writes them as JavaScript does."""
    if isinstance(value, dict):
        return {name: _with_numbers(member) for name, member in value.items()}
    if isinstance(value, list | tuple):
        return [_number(each) if type(each) is float else _with_numbers(each) for each in value]
    return _number(value) if type(value) in {int, float} else value


@lru_cache(maxsize=4096, typed=True)  # numbers of one body are often the same
def _number(number: float) -> object:
    """Return what orjson writes as JavaScript writes `number` (ECMA-262, Number::toString)."""
    if type(number) is int:
        if -SAFE_INTEGER <= number <= SAFE_INTEGER:
            return number
        number = float(number)
    size = abs(number)
    if SMALLEST_ALIKE <= size < PLAIN_LIMIT:
        return int(number) if number.is_integer() else number
    if not size < EXPONENT_LIMIT or 0 < size < SMALLEST_PLAIN:
        if not math.isfinite(number):
            raise ValueError("no canonical form: a number is not finite")
        return number
    return _plain(number) if size else 0


def _plain(number: float) -> orjson.Fragment:
    """Return the shortest digits of a double without the exponent that they come with."""
    digits, _, exponent = orjson.dumps(number).partition(b"e")
    power, sign = int(exponent), b"-" if number < 0 else b""
    if power < 0:
        zeros = b"0." + b"0" * (-power - 1)
        return orjson.Fragment(sign + zeros + digits.lstrip(b"-").replace(b".", b""))
    return orjson.Fragment(digits.replace(b".", b"").ljust(len(sign) + power + 1, b"0"))
