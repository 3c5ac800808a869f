"""SHA-256 checksums as object stores write them: base64 of the digest."""

import base64
import binascii

DIGEST_BYTES = 32


def hex_of_base64(text: str | None) -> str | None:
    """Return a base64 digest of a whole object in hex; None for anything else.

    A composite checksum, `<base64>-<parts>`, says nothing about the bytes as a whole.
    """
    try:
        digest = base64.b64decode(text or "", validate=True)
    except binascii.Error:
        return None
    return digest.hex() if len(digest) == DIGEST_BYTES else None


def base64_of_hex(text: str) -> str:
    """Return a hex digest in base64."""
    return base64.b64encode(bytes.fromhex(text)).decode()
