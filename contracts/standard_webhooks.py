"""Signed webhooks, ours and those we get, by the Standard Webhooks scheme."""

import base64
import binascii
import hmac
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from hashlib import sha256

ID, TIMESTAMP, SIGNATURE = "webhook-id", "webhook-timestamp", "webhook-signature"
SECRET_PREFIX = "whsec_"  # noqa: S105  not a secret, the mark of one
SECRET_BYTES = 32
TOLERANCE = timedelta(minutes=5)
_VERSION = "v1"


def new_secret(random: bytes) -> str:
    """Return random bytes in the form in which secrets are handed out."""
    return SECRET_PREFIX + base64.b64encode(random).decode()


def check_secret(secret: str) -> None:
    """Raise ValueError if `secret` cannot be one."""
    if not _key(secret):
        raise ValueError("a webhook secret must not be empty")


def signed_headers(
    secrets: Iterable[str], message_id: str, sent_at: datetime, body: bytes
) -> dict[str, str]:
    """Return the headers of a message, with one signature for each secret that is in use."""
    timestamp = str(int(sent_at.timestamp()))
    signatures = [_signature(secret, message_id, timestamp, body) for secret in secrets]
    return {ID: message_id, TIMESTAMP: timestamp, SIGNATURE: " ".join(signatures)}


def is_signed(
    secrets: Iterable[str], headers: Mapping[str, str], now: datetime, body: bytes
) -> bool:
    """Whether the message was signed with one of the secrets, and lately.

    Every signature is compared with every secret, in constant time.
    """
    message_id, timestamp = headers.get(ID, ""), headers.get(TIMESTAMP, "")
    if not message_id or not timestamp.isascii() or not timestamp.isdecimal():
        return False
    if abs(int(timestamp[:20]) - now.timestamp()) > TOLERANCE.total_seconds():
        return False
    found = False
    for secret in secrets:
        expected = _signature(secret, message_id, timestamp, body).encode()
        for given in headers.get(SIGNATURE, "").split():
            found |= hmac.compare_digest(expected, given.encode())
    return found


def _signature(secret: str, message_id: str, timestamp: str, body: bytes) -> str:
    signed = f"{message_id}.{timestamp}.".encode() + body
    digest = hmac.new(_key(secret), signed, sha256).digest()
    return f"{_VERSION},{base64.b64encode(digest).decode()}"


def _key(secret: str) -> bytes:
    """Return the bytes of a secret: base64 after its prefix, or the text itself without one."""
    if not secret.startswith(SECRET_PREFIX):
        return secret.encode()
    try:
        return base64.b64decode(secret.removeprefix(SECRET_PREFIX), validate=True)
    except binascii.Error as error:
        raise ValueError("a webhook secret with the prefix whsec_ must go on in base64") from error
