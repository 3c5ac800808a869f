"""RFC 8785 canonical JSON and the one hash made of it (contract 13.1)."""

import hashlib

import rfc8785
from pydantic import JsonValue

SAFE_INTEGER = 2**53 - 1


def canonical_bytes(value: JsonValue) -> bytes:
    """Return the RFC 8785 form of `value`; integers beyond 2**53-1 count as doubles."""
    try:
        return rfc8785.dumps(value)
    except rfc8785.IntegerDomainError:
        return rfc8785.dumps(_with_doubles(value))


def sha256_hex(value: JsonValue) -> str:
    """Return the lower-case hex SHA-256 of the canonical form of `value`."""
    return hashlib.sha256(canonical_bytes(value)).hexdigest()


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
