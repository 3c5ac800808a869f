"""Redaction of personal data and secrets in audit payloads (contract 13.3)."""

import re
from typing import Any

from policy.canonical import sha256_hex

SENSITIVE = ("phone", "email", "access_code", "password", "token", "secret", "ssn", "dob")
_SENSITIVE = re.compile("|".join(SENSITIVE))


def redact(value: Any, key: str = "") -> Any:  # noqa: ANN401  any JSON value
    """Return `value` with what stands under a sensitive key replaced by its hash.

    Applies at any depth; members of an array take the array's key.
    """
    if isinstance(value, list):
        return [redact(member, key) for member in value]
    if value is not None and _SENSITIVE.search(key.lower()):
        return f"redacted:{sha256_hex(value)}"
    if isinstance(value, dict):
        return {name: redact(member, name) for name, member in value.items()}
    return value
