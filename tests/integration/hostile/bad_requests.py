"""Bad requests as data: what is sent about a ticket, and what must come of it."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import jwt

from tests.integration.servers.gateway import PAYLOAD_OF_NEW, TestGateway

BODY_LIMIT_BYTES = 1_048_576
NOWHERE = str(uuid4())
TRIAGE = {"priority": "URGENT", "incident_type": "DOOR_WONT_LATCH"}
Request = Callable[[TestGateway, str], dict[str, Any]]


@dataclass(frozen=True)
class Bad:
    """A bad request and its answer. `logged` tells that its actor was established."""

    name: str
    request: Request
    status: int
    code: str
    logged: bool = True
    extras: Mapping[str, Any] = field(default_factory=dict)


def call(
    path: str = "/tickets/{ticket}/triage",
    *,
    role: str = "dispatcher",
    headers: Mapping[str, str | None] | None = None,
    **body: Any,  # noqa: ANN401  `json` or `content`
) -> Request:
    """Return a good triage by dev headers, except for what is named; a None header is left out."""

    def request(_: TestGateway, ticket: str) -> dict[str, Any]:
        named = {**TestGateway.as_role(role), "Idempotency-Key": str(uuid4()), **(headers or {})}
        present = {name: text for name, text in named.items() if text is not None}
        return {"url": path.format(ticket=ticket), "headers": present, **(body or {"json": TRIAGE})}

    return request


def authorized(text: str) -> Request:
    """Return a good triage with this Authorization header alone."""
    return call(headers={"X-Actor-Id": None, "X-Actor-Role": None, "Authorization": text})


def token(role: str = "dispatcher", **claims: object) -> Request:
    """Return a good triage by token, except for these claims."""

    def request(gateway: TestGateway, ticket: str) -> dict[str, Any]:
        return authorized(gateway.bearer(role, **claims)["Authorization"])(gateway, ticket)

    return request


def signed_by_others(algorithm: str, secret: str) -> Request:
    """Return a good triage whose token is not signed with the configured secret."""
    claims = {
        "sub": "dispatcher-1",
        "role": "dispatcher",
        "exp": datetime.now(UTC) + timedelta(hours=1),
        "scope": {"account_ids": "*", "site_ids": "*"},
    }
    return authorized(f"Bearer {jwt.encode(claims, secret, algorithm)}")


def _rows(status: int, code: str, requests: Mapping[str, Request], **more: Any) -> Iterable[Bad]:  # noqa: ANN401
    return (Bad(name, request, status, code, **more) for name, request in requests.items())


def _payloads(bodies: Mapping[str, object]) -> Mapping[str, Request]:
    return {name: call(json=body) for name, body in bodies.items()}


def _texts(texts: Mapping[str, bytes]) -> Mapping[str, Request]:
    return {name: call(content=text) for name, text in texts.items()}


MALFORMED = _texts(
    {
        "broken syntax": b'{"priority": ',
        "a member twice": b'{"a": 1, "a": 2}',
        "broken UTF-8": b'{"a": "\xff"}',
        "a lone surrogate": b'{"a": "\\ud800"}',
        "NaN": b'{"a": NaN}',
        "no finite double": b'{"a": 1e999}',
        "nesting too deep": b'{"a": ' + b"[" * 101 + b"]" * 101 + b"}",
    }
)
INVALID = {
    "an empty body": call(content=b""),
    "an unknown field where closed": call("/ops/autonomy/pause", json={"scop_type": "GLOBAL"}),
    **_payloads(
        {
            "an array": [1],
            "a text": "priority",
            "wrong types": {"priority": 1, "incident_type": []},
            "a word in another case": {**TRIAGE, "priority": "urgent"},
            "null where required": {**TRIAGE, "priority": None},
            "a blank text": {**TRIAGE, "incident_type": "  "},
            "a text too long": {**TRIAGE, "incident_type": "x" * 201},
            "U+0000": {**TRIAGE, "incident_type": "a\0b"},
            "U+0000 in an extra key": {**TRIAGE, "\0": 1},
            "half a cent": {**TRIAGE, "nte_cents": 0.5},
            "too many cents": {**TRIAGE, "nte_cents": 2**53},
            "a flag that is a number": {**TRIAGE, "ready_to_schedule": 1},
        }
    ),
}
BAD_TOKENS = {
    "a forged token": signed_by_others("HS256", "a secret that nobody here has configured"),
    "another algorithm": signed_by_others("HS512", "a secret that nobody here has configured" * 2),
    "a token without signature": signed_by_others("none", ""),
    "no token": authorized("Bearer"),
    "half a token": authorized("Bearer a.b"),
    "another scheme": authorized("Basic YTpi"),
}
BAD_CLAIMS = {
    "an expired token": token(exp=1),
    "a token without end": token(exp=None),
    "a token for later": token(nbf=2**40),
    "an unknown role": token(role="root"),
    "an unknown role in dev headers": call(role="root"),
    "a scope that is none": token(scope=["*"]),
    "a tenant that is none": token(tenant_id="../"),
}
OUTSIDE_ACCOUNT = call(headers={"X-Account-Scope": NOWHERE})
OUTSIDE_SITE = call(headers={"X-Site-Scope": NOWHERE})
AT_NO_SITE = call("/tickets", json={**PAYLOAD_OF_NEW, "account_id": NOWHERE, "site_id": NOWHERE})
OTHER_TOOL = call(headers={"X-Tool-Name": "ticket.cancel"})
ROWS = (
    *_rows(400, "INVALID_JSON", MALFORMED, logged=False),
    Bad(
        "a body over 1 MiB",
        call(content=b" " * (BODY_LIMIT_BYTES + 1)),
        413,
        "PAYLOAD_TOO_LARGE",
        logged=False,
        extras={"limit_bytes": BODY_LIMIT_BYTES},
    ),
    *_rows(400, "INVALID_REQUEST", INVALID),
    Bad("no key", call(headers={"Idempotency-Key": None}), 400, "MISSING_IDEMPOTENCY_KEY"),
    Bad("a blank key", call(headers={"Idempotency-Key": ""}), 400, "MISSING_IDEMPOTENCY_KEY"),
    Bad("no UUID", call(headers={"Idempotency-Key": "42"}), 400, "INVALID_IDEMPOTENCY_KEY"),
    *_rows(401, "INVALID_AUTH_TOKEN", BAD_TOKENS, logged=False),
    *_rows(401, "INVALID_AUTH_CLAIMS", BAD_CLAIMS, logged=False),
    Bad("no actor", call(headers={"X-Actor-Id": None}), 400, "MISSING_ACTOR_CONTEXT", logged=False),
    *_rows(403, "FORBIDDEN", {f"the role {role}": call(role=role) for role in ("audit", "system")}),
    Bad("another tool's name", OTHER_TOOL, 403, "TOOL_NOT_ALLOWED"),
    Bad("a foreign tenant", token(tenant_id="elsewhere"), 404, "TICKET_NOT_FOUND"),
    Bad("an empty scope", token(scope={}), 403, "FORBIDDEN_SCOPE"),
    Bad("a scope of OAuth", token(scope="openid profile"), 403, "FORBIDDEN_SCOPE"),
    Bad(
        "a foreign account",
        OUTSIDE_ACCOUNT,
        403,
        "FORBIDDEN_SCOPE",
        extras={"scope_field": "account_id"},
    ),
    Bad("a foreign site", OUTSIDE_SITE, 403, "FORBIDDEN_SCOPE", extras={"scope_field": "site_id"}),
    Bad("an unknown account", AT_NO_SITE, 404, "ACCOUNT_NOT_FOUND"),
    Bad("an unknown ticket", call(f"/tickets/{NOWHERE}/triage"), 404, "TICKET_NOT_FOUND"),
    *_rows(
        404,
        "NOT_FOUND",
        {
            "a ticket that is no UUID": call("/tickets/42/triage"),
            "an unknown route": call("/tickets/{ticket}/abolish"),
            "a trailing slash": call("/tickets/{ticket}/triage/"),
        },
        logged=False,
    ),
)
