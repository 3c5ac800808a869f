"""Redaction of personal data and secrets in audit payloads (contract 13.3)."""

import re
from typing import Any

from policy.canonical import sha256_hex
from policy.json_levels import levels

SENSITIVE = ("phone", "email", "access_code", "password", "token", "secret", "ssn", "dob")
MOST_SENSITIVE = 1000
"""How many names of a body may be sensitive: each of them leaves a hash for ever."""
SINGLY = 100
"""Up to so many members of an array are hashed by themselves, those of a longer one as a whole."""
_SENSITIVE = re.compile("|".join(SENSITIVE))


def redact(value: Any, key: str = "") -> Any:  # noqa: ANN401  any JSON value
    """Return `value` with what stands under a sensitive key replaced by its hash.

    Applies at any depth; members of an array take the array's key.
    """
    return _redacted(value, sensitive=_SENSITIVE.search(key.lower()) is not None)


def _redacted(value: Any, *, sensitive: bool) -> Any:  # noqa: ANN401  any JSON value
    if isinstance(value, list) and not (sensitive and _count(value) > SINGLY):
        return [_redacted(member, sensitive=sensitive) for member in value]
    if sensitive and value is not None:
        return f"redacted:{sha256_hex(value)}"
    if isinstance(value, dict):
        return {name: redact(member, name) for name, member in value.items()}
    return value


def _count(array: list[Any]) -> int:
    """Return how many members an array has, those of arrays in it included."""
    return sum(len(inner) for level in levels(array) for inner in level.arrays)
