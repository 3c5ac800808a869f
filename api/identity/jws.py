"""The compact form of a signed token, read strictly (RFC 7515, RFC 8725)."""

import base64
import binascii
import re
from dataclasses import dataclass
from typing import Final

from pydantic import JsonValue

from api.wire.errors import InvalidJsonError, InvalidTokenError
from api.wire.ijson import parse_json

_PARTS: Final = 3
_BASE64URL: Final = re.compile(r"[A-Za-z0-9_-]*")


@dataclass(frozen=True, slots=True)
class CompactJws:
    """A token taken apart. Nothing about it is verified yet."""

    header: dict[str, JsonValue]
    claims: dict[str, JsonValue]
    signing_input: bytes
    signature: bytes


def parse_compact(token: str) -> CompactJws:
    """Return the parts of a token, or raise `InvalidTokenError`."""
    parts = token.split(".")
    if len(parts) != _PARTS:
        raise InvalidTokenError("The token must have three parts.")
    header, claims = _json_object(parts[0]), _json_object(parts[1])
    if "crit" in header:
        raise InvalidTokenError("The token demands extensions that are not supported here.")
    signing_input = token.rpartition(".")[0].encode("ascii")
    return CompactJws(header, claims, signing_input, decode_base64url(parts[2]))


def decode_base64url(text: str) -> bytes:
    """Return the bytes of canonical base64url without padding, or raise `InvalidTokenError`."""
    try:
        raw = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    except (binascii.Error, ValueError):
        raw = b""
    if _BASE64URL.fullmatch(text) is None or _encode_base64url(raw) != text:
        raise InvalidTokenError("The token is not base64url without padding.")
    return raw


def _encode_base64url(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode("ascii")


def _json_object(part: str) -> dict[str, JsonValue]:
    try:
        value = parse_json(decode_base64url(part))
    except InvalidJsonError:
        value = None
    if not isinstance(value, dict):
        raise InvalidTokenError("The token's header and payload must be JSON objects.")
    return value
