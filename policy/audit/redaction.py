"""Redaction of personal data and secrets in audit payloads (contract 13.3)."""

import hashlib
import hmac
import re
from typing import Any

from policy.canonical import canonical_bytes, sha256_hex

SENSITIVE = ("phone", "email", "access_code", "password", "token", "secret", "ssn", "dob")
_SENSITIVE = re.compile("|".join(SENSITIVE))


def redact(value: Any, secret: bytes | None, key: str = "") -> Any:  # noqa: ANN401  any JSON value
    """Return `value` with what stands under a sensitive key replaced by its MAC.

    There are few enough phone numbers to try all of them, so a hash without `secret`, the
    installation's own, would only hide them from the lazy. None: as rows before 2026-12 were
    written. Applies at any depth; members of an array take the array's key.
    """
    if isinstance(value, list):
        return [redact(member, secret, key) for member in value]
    if value is not None and _SENSITIVE.search(key.lower()):
        return f"redacted:{_digest(value, secret)}"
    if isinstance(value, dict):
        return {name: redact(member, secret, name) for name, member in value.items()}
    return value


def _digest(value: Any, secret: bytes | None) -> str:  # noqa: ANN401  any JSON value
    if secret is None:
        return sha256_hex(value)
    return hmac.new(secret, canonical_bytes(value), hashlib.sha256).hexdigest()
