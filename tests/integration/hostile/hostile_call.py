"""A hostile call: sent byte for byte as it is written, and what must come of it."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from http.client import HTTPConnection
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

from policy.codes import CODES, Code
from tests.integration.servers.gateway import TestGateway

Pairs = Sequence[tuple[str, str]]
TIMEOUT_SECONDS = 60


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
class Hostile:
    """One call. `logged` tells that an actor was established and named a command."""

    name: str
    code: Code
    target: str
    body: object = None
    headers: Pairs = ()
    method: str = "POST"
    logged: bool = True
    dimension: str | None = None
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
        content = self.body if isinstance(self.body, bytes) else json.dumps(self.body).encode()
        try:
            conn.putrequest(self.method, self.target, skip_accept_encoding=True)
            for name, text in (*self.headers, ("X-Correlation-Id", self.correlation)):
                conn.putheader(name, text.encode())
            conn.putheader("Content-Length", str(len(content)))
            conn.endheaders(content)
            answer = conn.getresponse()
            return Reply(answer.status, dict(answer.getheaders()), answer.read())
        finally:
            conn.close()


def dev(role: str, **more: str) -> Pairs:
    """Return dev headers under a fresh key; further ones by keyword, which replace these."""
    named = {**TestGateway.as_role(role), "Idempotency-Key": str(uuid4())}
    named |= {name.replace("_", "-"): text for name, text in more.items()}
    return tuple(named.items())


def bearing(authorization: Mapping[str, str], *more: tuple[str, str]) -> Pairs:
    """Return the headers of a token under a fresh key, and further ones."""
    return (*authorization.items(), ("Idempotency-Key", str(uuid4())), *more)
