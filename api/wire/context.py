"""What the headers of a request say, apart from who sent it (contract 2.2 to 2.4)."""

import re
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final
from uuid import uuid4

from starlette.datastructures import Headers

from api.wire.errors import InvalidIdempotencyKeyError, MissingIdempotencyKeyError
from contracts.command import AUTOMATION_HEADER
from policy.values import parse_uuid

MAX_WAIT_SECONDS: Final = 60
PREFER_LIMIT: Final = 8192
SECURITY_HEADERS: Final = MappingProxyType(
    {
        "X-Content-Type-Options": "nosniff",
        "Cache-Control": "no-store",
        "Referrer-Policy": "no-referrer",
        "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    }
)
PRODUCTION_HEADERS: Final = MappingProxyType(
    {**SECURITY_HEADERS, "Strict-Transport-Security": "max-age=31536000"}
)

_VISIBLE: Final = re.compile(r"[\x21-\x7e]{1,200}")
_TRACEPARENT: Final = re.compile(
    r"(?!ff)([0-9a-f]{2})-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-([0-9a-f]{2})(?:-.*)?"
)
# A quotation that nobody closes goes on to the end: where it began is never asked twice.
_PREFERENCE: Final = re.compile(r'(?:[^",]|"(?:[^"\\]|\\.)*+(?:"|\\?\Z))++', re.DOTALL)
_WAIT: Final = re.compile(
    r'\s*wait\s*(?:=\s*(?P<quote>"?)(?P<seconds>[0-9]+)(?P=quote)\s*)?(?:;|$)'
)


@dataclass(frozen=True, slots=True)
class TraceContext:
    """The caller's trace; `parent` and `state` are for logs only."""

    trace_id: str | None = None
    parent: str | None = None
    state: str | None = None


@dataclass(frozen=True, slots=True)
class RequestContext:
    """The headers every answer and every log record needs.

    `request_id` is the idempotency key as sent, None unless it is readable.
    `automated` tells that no person acts.
    `wait_seconds` is what `Prefer` asks for, None if it asks for nothing readable.
    """

    correlation_id: str
    trace: TraceContext
    request_id: str | None
    idempotency_key: str | None
    tool_name: str | None
    automated: bool
    wait_seconds: int | None

    def require_key(self) -> str:
        """Return the idempotency key as sent, or raise what a command answers without one."""
        if self.idempotency_key is None:
            raise MissingIdempotencyKeyError
        if self.request_id is None:
            raise InvalidIdempotencyKeyError
        return self.request_id


def read_context(headers: Headers) -> RequestContext:
    """Return the context of a request; nothing a client sends makes this fail."""
    key = _trimmed(headers, "idempotency-key")
    return RequestContext(
        correlation_id=_visible(headers, "x-correlation-id") or str(uuid4()),
        trace=read_trace(headers),
        request_id=key if _is_uuid(key) else None,
        idempotency_key=key,
        tool_name=_trimmed(headers, "x-tool-name"),
        automated=_trimmed(headers, AUTOMATION_HEADER) is not None,
        wait_seconds=read_wait(headers),
    )


def read_trace(headers: Headers) -> TraceContext:
    """Return the trace context: a valid traceparent, else X-Trace-Id, else nothing."""
    parent = _TRACEPARENT.fullmatch(headers.get("traceparent", "").strip().lower())
    if parent is None:
        return TraceContext(trace_id=_visible(headers, "x-trace-id"))
    state = ",".join(each.strip() for each in headers.getlist("tracestate")).strip(",")
    return TraceContext(parent[2], "-".join(parent.groups()), state or None)


def read_wait(headers: Headers) -> int | None:
    """Return the seconds of `Prefer: wait=N` (RFC 7240: the first one counts), at most 60.

    Preferences beyond `PREFER_LIMIT` characters are not read.
    """
    lines = headers.getlist("prefer")
    for line in lines if sum(map(len, lines)) <= PREFER_LIMIT else ():
        for preference in _PREFERENCE.findall(line):
            name = preference.partition("=")[0].partition(";")[0].strip()
            if name.lower() == "wait":
                return _seconds(preference.strip().lower())
    return None


def _seconds(preference: str) -> int | None:
    match = _WAIT.match(preference)
    digits = match["seconds"] if match else None
    if not digits:
        return None
    significant = digits.lstrip("0")
    too_long = len(significant) > len(str(MAX_WAIT_SECONDS))
    return MAX_WAIT_SECONDS if too_long else min(int(significant or "0"), MAX_WAIT_SECONDS)


def _trimmed(headers: Headers, name: str) -> str | None:
    return headers.get(name, "").strip() or None


def _visible(headers: Headers, name: str) -> str | None:
    value = headers.get(name, "").strip()
    return value if _VISIBLE.fullmatch(value) else None


def _is_uuid(value: str | None) -> bool:
    try:
        parse_uuid(value)
    except ValueError:
        return False
    return True
