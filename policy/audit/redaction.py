"""Redaction of personal data and secrets in audit payloads (contract 13.3)."""

import hashlib
import hmac
import re
from typing import Any

from policy.canonical import canonical_bytes, sha256_hex
from policy.json_levels import levels
from policy.sensitive import SENSITIVE

SINGLY = 100
"""Up to so many members of an array are hashed by themselves, those of a longer one as a whole."""
_SENSITIVE = re.compile("|".join(SENSITIVE))


def redact(value: Any, secret: bytes | None, key: str = "") -> Any:  # noqa: ANN401  any JSON value
    """Return `value` with what stands under a sensitive key replaced by its MAC.

    There are few enough phone numbers to try all of them, so a hash without `secret`, the
    installation's own, would only hide them from the lazy. None: as rows before 2026-12 were
    written. Applies at any depth; members of an array take the array's key.
    """
    return _redacted(value, secret, sensitive=_SENSITIVE.search(key.lower()) is not None)


def _redacted(
    value: Any,  # noqa: ANN401  any JSON value
    secret: bytes | None,
    *,
    sensitive: bool,
) -> Any:  # noqa: ANN401  any JSON value
    if isinstance(value, list) and not (sensitive and _count(value) > SINGLY):
        return [_redacted(member, secret, sensitive=sensitive) for member in value]
    if sensitive and value is not None:
        return f"redacted:{_digest(value, secret)}"
    if isinstance(value, dict):
        return {name: redact(member, secret, name) for name, member in value.items()}
    return value


def _digest(value: Any, secret: bytes | None) -> str:  # noqa: ANN401  any JSON value
    if secret is None:
        return sha256_hex(value)
    return hmac.new(secret, canonical_bytes(value), hashlib.sha256).hexdigest()


def _count(array: list[Any]) -> int:
    """Return how many members an array has, those of arrays in it included."""
    return sum(len(inner) for level in levels(array) for inner in level.arrays)
