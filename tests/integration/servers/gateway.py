"""A running gateway as the tests see it: its clients, its servers and tickets to begin with."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import asyncpg
import httpx
import jwt
from starlette.types import ASGIApp, Message, Scope

from api.app import create_app
from runtime.postgres.pool import Connection
from runtime.settings import load_settings

PAYLOAD_OF_NEW = {"summary": "Door does not latch"}
Headers = dict[str, str]


@dataclass(frozen=True)
class TestGateway:
    """The running gateway in dev mode, a client of it, and the seeded demo fixtures."""

    __test__ = False

    url: str
    env: Mapping[str, str]
    owner_url: str
    http: httpx.Client
    account_id: str
    site_id: str
    tech_id: str

    @staticmethod
    def as_role(role: str, **headers: str) -> Headers:
        """Return dev headers; further ones by keyword, such as X_Account_Scope="..."."""
        named = {name.replace("_", "-"): text for name, text in headers.items()}
        return {"X-Actor-Id": f"{role}-1", "X-Actor-Role": role, **named}

    def bearer(self, role: str, **claims: object) -> Headers:
        """Return the header of a token with an unlimited scope, unless `claims` say otherwise."""
        base = {
            "sub": f"{role}-1",
            "role": role,
            "exp": datetime.now(UTC) + timedelta(hours=1),
            "scope": {"account_ids": "*", "site_ids": "*"},
        }
        secret = self.env["DISPATCH_AUTH_JWT_SECRET"]
        return {"Authorization": f"Bearer {jwt.encode({**base, **claims}, secret, 'HS256')}"}

    def get(self, path: str, role: str = "dispatcher", **params: Any) -> httpx.Response:  # noqa: ANN401
        """Read as `role`; query parameters by keyword."""
        return self.http.get(path, params=params, headers=self.as_role(role))

    def post(
        self,
        path: str,
        body: object,
        role: str = "dispatcher",
        *,
        key: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> httpx.Response:
        """Send a command as `role`, under a fresh idempotency key unless `key` is given."""
        identity = dict(headers or self.as_role(role))
        return self.http.post(
            path, json=body, headers={**identity, "Idempotency-Key": key or str(uuid4())}
        )

    def done(self, path: str, body: object, role: str = "dispatcher") -> Any:  # noqa: ANN401
        """Send a command that must succeed, and return its answer."""
        answer = self.post(path, body, role)
        assert answer.is_success, answer.text
        return answer.json()

    def new_ticket(self, **fields: object) -> str:
        """Create a ticket at the demo site and return its id."""
        place = {"account_id": self.account_id, "site_id": self.site_id}
        return str(self.done("/tickets", {**place, **PAYLOAD_OF_NEW, **fields})["id"])

    def ready_ticket(self, incident_type: str = "DOOR_WONT_LATCH", **triage: object) -> str:
        """Create a ticket in READY_TO_SCHEDULE."""
        ticket = self.new_ticket()
        what = {"priority": "URGENT", "incident_type": incident_type, "ready_to_schedule": True}
        self.done(f"/tickets/{ticket}/triage", {**what, **triage})
        return ticket

    def scheduled_ticket(self) -> str:
        """Create a ticket in SCHEDULED, for tomorrow."""
        ticket = self.ready_ticket()
        window = self.window()
        self.done(f"/tickets/{ticket}/schedule/propose", {"options": [window]})
        self.done(f"/tickets/{ticket}/schedule/confirm", window)
        return ticket

    def ticket_in_progress(self) -> str:
        """Create a ticket in IN_PROGRESS, assigned to the demo technician."""
        ticket = self.scheduled_ticket()
        self.done(f"/tickets/{ticket}/assignment/dispatch", {"tech_id": self.tech_id})
        self.done(f"/tickets/{ticket}/tech/check-in", {"timestamp": datetime.now(UTC).isoformat()})
        return ticket

    @staticmethod
    def window(hours_from_now: float = 24) -> dict[str, str]:
        """Return a window of two hours."""
        start = datetime.now(UTC) + timedelta(hours=hours_from_now)
        return {"start": start.isoformat(), "end": (start + timedelta(hours=2)).isoformat()}

    @asynccontextmanager
    async def owner(self) -> AsyncIterator[Connection]:
        """Connect as the owner of the schema, whom row-level security does not bind."""
        conn = await asyncpg.connect(self.owner_url)
        try:
            yield conn
        finally:
            await conn.close()

    @asynccontextmanager
    async def sibling(self, **env: str) -> AsyncIterator[httpx.AsyncClient]:
        """Run a second gateway in this process, on the same servers with other settings."""
        settings, _ = load_settings({**self.env, **env})
        app = create_app(settings)
        async with lifespan_of(app):
            transport = httpx.ASGITransport(app)
            async with httpx.AsyncClient(
                transport=transport, base_url="http://localhost"
            ) as client:
                yield client


@asynccontextmanager
async def lifespan_of(app: ASGIApp) -> AsyncIterator[None]:
    """Drive the lifespan protocol of an ASGI application."""
    inbox: asyncio.Queue[Message] = asyncio.Queue()
    outbox: asyncio.Queue[Message] = asyncio.Queue()
    scope: Scope = {"type": "lifespan", "asgi": {"version": "3.0"}, "state": {}}
    task = asyncio.ensure_future(app(scope, inbox.get, outbox.put))
    await inbox.put({"type": "lifespan.startup"})
    started = await outbox.get()
    assert started["type"] == "lifespan.startup.complete", started
    try:
        yield
    finally:
        await inbox.put({"type": "lifespan.shutdown"})
        await outbox.get()
        await task
