"""A hostile call: sent byte for byte as it is written, and what must come of it."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from http.client import HTTPConnection
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

from policy.codes import CODES, Code
from policy.rules.bundle import ToolRule
from tests.integration.servers.gateway import TestGateway

Pairs = Sequence[tuple[str, str]]
TIMEOUT_SECONDS = 60
MCP_HEADERS: Pairs = (
    ("Accept", "application/json, text/event-stream"),
    ("Content-Type", "application/json"),
    ("MCP-Protocol-Version", "2025-11-25"),
)


@dataclass(frozen=True)
class Reply:
    """What came back; a HEAD has no body."""

    status: int
    headers: Mapping[str, str]
    content: bytes

    @property
    def error(self) -> dict[str, Any]:
        """The error of the envelope."""
        found: dict[str, Any] = json.loads(self.content)["error"] if self.content else {}
        return found


@dataclass(frozen=True)
class Target:
    """The ticket that is attacked (it is NEW), and a key that has had its effect on it."""

    gateway: TestGateway
    ticket: str
    spent_key: str

    def path(self, rule: ToolRule) -> str:
        """Return the path of a tool."""
        return rule.route.replace("{ticketId}", self.ticket)


@dataclass(frozen=True)
class Hostile:
    """One call. `logged` tells that an actor was established and named a command.

    With `by_mcp`, the target is a tool's name and the body its arguments.
    """

    name: str
    code: Code
    target: str
    body: object = None
    headers: Pairs = ()
    method: str = "POST"
    logged: bool = True
    dimension: str | None = None
    by_mcp: bool = False
    correlation: str = field(default_factory=lambda: str(uuid4()))

    @property
    def status(self) -> int:
        """The status of the refusal."""
        return CODES[self.code].status

    @property
    def wanted_dimension(self) -> str | None:
        """The dimension of the refusal."""
        return self.dimension or CODES[self.code].dimension

    def send(self, gateway: TestGateway) -> Reply:
        """Send the call on a connection of its own; neither path nor headers are tidied up."""
        place = urlsplit(gateway.url)
        conn = HTTPConnection(place.hostname or "", place.port, timeout=TIMEOUT_SECONDS)
        path, body = ("/mcp", self._message()) if self.by_mcp else (self.target, self.body)
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        named = (*self.headers, ("X-Correlation-Id", self.correlation))
        has_host = any(name == "Host" for name, _ in named)
        try:
            conn.putrequest(self.method, path, skip_host=has_host, skip_accept_encoding=True)
            for name, text in (*named, *(MCP_HEADERS if self.by_mcp else ())):
                conn.putheader(name, text.encode())
            conn.putheader("Content-Length", str(len(content)))
            conn.endheaders(content)
            answer = conn.getresponse()
            reply = Reply(answer.status, dict(answer.getheaders()), answer.read())
        finally:
            conn.close()
        return _of_the_tool(reply) if self.by_mcp else reply

    def _message(self) -> dict[str, Any]:
        params = {"name": self.target, "arguments": self.body}
        return {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params}


def _of_the_tool(reply: Reply) -> Reply:
    """Return what the tool said through the MCP door; what the door itself said stays."""
    result = json.loads(reply.content).get("result")
    if reply.status != HTTPStatus.OK or result is None:
        return reply
    said = result["structuredContent"]
    content = json.dumps({"error": said.get("error")}).encode()
    return Reply(said["status"], reply.headers, content)


def dev(role: str, **more: str) -> Pairs:
    """Return dev headers under a fresh key; further ones by keyword, which replace these."""
    named = {**TestGateway.as_role(role), "Idempotency-Key": str(uuid4())}
    named |= {name.replace("_", "-"): text for name, text in more.items()}
    return tuple(named.items())


def bearing(authorization: Mapping[str, str], *more: tuple[str, str]) -> Pairs:
    """Return the headers of a token under a fresh key, and further ones."""
    return (*authorization.items(), ("Idempotency-Key", str(uuid4())), *more)
