"""Redaction of personal data and secrets in audit payloads (contract 13.3)."""

import hashlib
import hmac
from typing import Any

from policy.canonical import canonical_bytes, sha256_hex
from policy.sensitive import is_sensitive


def redact(value: Any, secret: bytes | None, key: str = "") -> Any:  # noqa: ANN401  any JSON value
    """Return `value` with what stands under a sensitive key replaced by its MAC.

    There are few enough phone numbers to try all of them, so a hash without `secret`, the
    installation's own, would only hide them from the lazy. None: as rows before 2026-12 were
    written. Applies at any depth; members of an array take the array's key.
    """
    return _redacted(value, secret, sensitive=is_sensitive(key))


def _redacted(
    value: Any,  # noqa: ANN401  any JSON value
    secret: bytes | None,
    *,
    sensitive: bool,
) -> Any:  # noqa: ANN401  any JSON value
    if isinstance(value, list):
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
