"""Redaction of personal data and secrets in audit payloads (contract 13.3)."""

import hashlib
import hmac
from typing import Any

from policy.canonical import canonical_bytes, sha256_hex
from policy.json_levels import CONTAINERS, levels
from policy.sensitive import is_sensitive, sensitive_names


def redact(value: Any, secret: bytes | None, key: str = "") -> Any:  # noqa: ANN401  any JSON value
    """Return `value` with what stands under a sensitive key replaced by its MAC.

    There are few enough phone numbers to try all of them, so a hash without `secret`, the
    installation's own, would only hide them from the lazy. None: as rows before 2026-12 were
    written. Applies at any depth; members of an array take the array's key.
    """
    hidden = frozenset().union(*(sensitive_names(tuple(each.names)) for each in levels(value)))
    sensitive = is_sensitive(key)
    return _redacted(value, secret, hidden, sensitive=sensitive) if hidden or sensitive else value


def _redacted(
    value: Any,  # noqa: ANN401  any JSON value
    secret: bytes | None,
    hidden: frozenset[str],
    *,
    sensitive: bool,
) -> Any:  # noqa: ANN401  any JSON value
    """Return `value` without what stands under the names in `hidden`, or itself is sensitive."""
    if isinstance(value, list):
        if not sensitive and CONTAINERS.isdisjoint(map(type, value)):
            return value
        return [_redacted(member, secret, hidden, sensitive=sensitive) for member in value]
    if sensitive and value is not None:
        return f"redacted:{_digest(value, secret)}"
    if not isinstance(value, dict):
        return value
    return {
        name: _redacted(member, secret, hidden, sensitive=name in hidden)
        if name in hidden or type(member) in CONTAINERS
        else member
        for name, member in value.items()
    }


def _digest(value: Any, secret: bytes | None) -> str:  # noqa: ANN401  any JSON value
    if secret is None:
        return sha256_hex(value)
    return hmac.new(secret, canonical_bytes(value), hashlib.sha256).hexdigest()
