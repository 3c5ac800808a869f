"""Bodies are read as I-JSON (RFC 7493), strictly, so that every reader and hash agrees."""

import json
import math
import re
from collections.abc import Iterable
from typing import Final, NoReturn

import orjson
from pydantic import JsonValue

from api.wire.errors import InvalidJsonError
from policy.values import SAFE_INTEGER

MAX_DEPTH: Final = 100
_SAFE_DIGITS: Final = len(str(SAFE_INTEGER))
_SURROGATE: Final = re.compile(r"\\u[dD][89a-fA-F]")


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
        text = raw.decode()
        value: JsonValue = _DECODER.decode(text)
        if _SURROGATE.search(text):
            orjson.dumps(value)  # refuses lone surrogates
    except (ValueError, TypeError) as error:
        raise InvalidJsonError(f"Not valid I-JSON: {error}.") from None
    except RecursionError:
        raise _too_deep() from None
    if text.count("[") + text.count("{") > MAX_DEPTH:
        _check_depth(value, MAX_DEPTH)
    return value


def _children(value: JsonValue) -> Iterable[tuple[str | int, JsonValue]]:
    if isinstance(value, dict):
        return value.items()
    return enumerate(value) if isinstance(value, list) else ()


def _check_depth(value: JsonValue, allowed: int) -> None:
    if not isinstance(value, dict | list):
        return
    if allowed == 0:
        raise _too_deep()
    for _, child in _children(value):
        _check_depth(child, allowed - 1)


def _too_deep() -> InvalidJsonError:
    return InvalidJsonError(f"Not valid here: nested deeper than {MAX_DEPTH}.")


def _members(pairs: list[tuple[str, JsonValue]]) -> dict[str, JsonValue]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise ValueError("a member name occurs twice")
    return members


def _integer(digits: str) -> int | float:
    if len(digits) <= _SAFE_DIGITS + 1:
        number = int(digits)
        if -SAFE_INTEGER <= number <= SAFE_INTEGER:
            return number
    return _double(digits)


def _double(digits: str) -> float:
    number = float(digits)
    if not math.isfinite(number):
        raise ValueError("a number is not a finite double")
    return number


def _refuse(word: str) -> NoReturn:
    raise ValueError(f"{word} is no number")


_DECODER: Final = json.JSONDecoder(
    object_pairs_hook=_members, parse_int=_integer, parse_float=_double, parse_constant=_refuse
)
