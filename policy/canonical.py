"""RFC 8785 canonical JSON and the one hash made of it (contract 13.1)."""

import hashlib

import orjson
import rfc8785
from pydantic import JsonValue

SAFE_INTEGER = 2**53 - 1


def canonical_bytes(value: JsonValue) -> bytes:
    """Return the RFC 8785 form of `value`; integers beyond 2**53-1 count as doubles."""
    if _is_simple(value):
        return orjson.dumps(value, option=orjson.OPT_SORT_KEYS)
    try:
        return rfc8785.dumps(value)
    except rfc8785.IntegerDomainError:
        return rfc8785.dumps(_with_doubles(value))


def sha256_hex(value: JsonValue) -> str:
    """Return the lower-case hex SHA-256 of the canonical form of `value`."""
    return hashlib.sha256(canonical_bytes(value)).hexdigest()


def _is_simple(value: JsonValue) -> bool:
    """Whether plain compact JSON with sorted keys is the RFC 8785 form already.

    Doubles are written differently, and keys are sorted by UTF-16 units.
    """
    if value is None or isinstance(value, bool):
        return True
    if isinstance(value, str):
        return value.isascii()
    if isinstance(value, int):
        return abs(value) <= SAFE_INTEGER
    if isinstance(value, dict):
        return all(name.isascii() and _is_simple(member) for name, member in value.items())
    return isinstance(value, list) and all(_is_simple(member) for member in value)


def _with_doubles(value: JsonValue) -> JsonValue:
    match value:
        case dict():
            return {key: _with_doubles(member) for key, member in value.items()}
        case list():
            return [_with_doubles(member) for member in value]
        case bool():
            return value
        case int() if abs(value) > SAFE_INTEGER:
            return float(value)
        case _:
            return value
