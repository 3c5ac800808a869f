"""Idempotency keys for calls that bring none: equal calls within a window share one (ADR-0010)."""

import base64
import binascii
import json
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, NamedTuple
from uuid import NAMESPACE_URL, UUID, uuid4, uuid5

from pydantic import JsonValue

from policy.canonical import canonical_bytes
from policy.model import Role
from policy.reads.guide import Repeat

_SPACE = uuid5(NAMESPACE_URL, "real-dispatch/agent-call")
_BEARER = "bearer "


class Window(NamedTuple):
    """For how long an identical call counts as a retry, and the words that say so."""

    length: timedelta
    words: str


WINDOWS: Mapping[Repeat, Window] = {
    Repeat.ADDS: Window(timedelta(days=1), "the same day (UTC)"),
    Repeat.MOVES: Window(timedelta(minutes=10), "ten minutes"),
    Repeat.ASKS: Window(timedelta(seconds=10), "ten seconds"),
}


def derived_request_id(
    caller: str, tool: str, repeat: Repeat, arguments: JsonValue, now: datetime
) -> UUID:
    """Return the key of a call without one.

    Arguments that are no I-JSON get a random key: the gateway refuses them anyway.
    """
    window = int(now.timestamp() // WINDOWS[repeat].length.total_seconds())
    call: JsonValue = {"caller": caller, "tool": tool, "arguments": arguments, "window": window}
    try:
        return uuid5(_SPACE, canonical_bytes(call).decode())
    except (ValueError, RecursionError):
        return uuid4()


def caller_of(headers: Mapping[str, str]) -> str:
    """Return who calls, as the credentials claim.

    It only names a key, which counts for the verified actor alone, so nothing is verified here.
    """
    authorization = headers.get("authorization", "").strip()
    if authorization.lower().startswith(_BEARER):
        claims = _claims(authorization[len(_BEARER) :].strip())
        return f"{claims.get('tenant_id', 'default')}\n{str(claims.get('sub', '')).strip()}"
    return f"default\n{headers.get('x-actor-id', '').strip()}"


def role_of(headers: Mapping[str, str], aliases: Mapping[str, Role]) -> Role | None:
    """Return the role that the credentials claim; it limits what is shown, never what is done."""
    authorization = headers.get("authorization", "").strip()
    word: object = headers.get("x-actor-role", "")
    if authorization.lower().startswith(_BEARER):
        word = _claims(authorization[len(_BEARER) :].strip()).get("role")
    said = word.strip().lower() if isinstance(word, str) else ""
    return aliases.get(said) or next((role for role in Role if role == said), None)


def _claims(token: str) -> dict[str, Any]:
    part = token.partition(".")[2].partition(".")[0]
    try:
        claims = json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))
    except (ValueError, binascii.Error, RecursionError):
        return {}
    return claims if isinstance(claims, dict) else {}
