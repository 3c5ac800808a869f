"""RFC 8785 canonical JSON and the one hash made of it (contract 13.1)."""

import hashlib
import math
from typing import Any

import orjson
from pydantic import JsonValue

from policy.json_levels import CONTAINERS, levels
from policy.values import SAFE_INTEGER

SCALARS = (str, int, float, type(None))
JSON = CONTAINERS | {*SCALARS, bool}
# Outside of these, JavaScript writes a double in another way than orjson does.
SMALLEST_ALIKE, PLAIN_LIMIT, EXPONENT_LIMIT = 1e-5, 1e16, 1e21
SMALLEST_PLAIN = 1e-6


def canonical_bytes(value: JsonValue) -> bytes:
    """Return the RFC 8785 form of `value`; integers beyond 2**53-1 count as doubles.

    Raises ValueError for what has none. Plain compact JSON has that form already, but for some
    numbers, which are written anew, and the order of names beyond U+FFFF.
    """
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
        order = order or not (names.isascii() or len(names.encode("utf-16-le")) == 2 * len(names))
    return numbers, order


def _in_order(value: Any) -> Any:  # noqa: ANN401  any JSON value
    """Return `value` with the members of its objects ordered by the UTF-16 of their names."""
    if isinstance(value, dict):
        pairs = sorted(value.items(), key=lambda pair: pair[0].encode("utf-16-be"))
        return {name: _in_order(member) for name, member in pairs}
    return [_in_order(each) for each in value] if isinstance(value, list | tuple) else value


def _with_numbers(value: Any) -> Any:  # noqa: ANN401  any JSON value
    """Return `value` with its numbers such that orjson writes them as JavaScript does."""
    if isinstance(value, dict):
        return {name: _with_numbers(member) for name, member in value.items()}
    if isinstance(value, list | tuple):
        return [_number(each) if type(each) is float else _with_numbers(each) for each in value]
    return _number(value) if type(value) in {int, float} else value


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
    return orjson.Fragment(_plain(number)) if size else 0


def _plain(number: float) -> bytes:
    """Return the shortest digits of a double without the exponent that they come with."""
    digits, _, exponent = orjson.dumps(number).partition(b"e")
    power, sign = int(exponent), b"-" if number < 0 else b""
    if power < 0:
        return sign + b"0." + b"0" * (-power - 1) + digits.lstrip(b"-").replace(b".", b"")
    return digits.replace(b".", b"").ljust(len(sign) + power + 1, b"0")
