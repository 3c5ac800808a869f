"""Clients that may not trust their answers: they repeat a key until they know, or leave it."""

import asyncio
import hashlib
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Any
from uuid import UUID

import httpx

from policy.rules.bundle import Bundle
from tests.faults.load.evidence import Call, Ending
from tests.faults.load.moves import CONTENT, Known, Move, creation, drawn, learn, next_move
from tests.integration.servers.gateway import TestGateway

Row = dict[str, Any]
GRACE_SECONDS = 7.0
PAUSE_SECONDS = 0.25
DUPLICATE_SHARE, READ_SHARE, REPEAT_SHARE, LEAVING_SHARE = 0.15, 0.2, 0.08, 0.1
ACCEPTED = httpx.codes.ACCEPTED


@dataclass
class Crowd:
    """All clients of a run: where they call, whom they call about and what they saw."""

    bundle: Bundle
    gateways: Sequence[httpx.AsyncClient]
    place: dict[str, str]
    technician: str
    seed: int
    patience_seconds: float = 90.0
    wait_seconds: int = 5
    """What requests ask gateways to wait; a client waits a little longer."""
    calls: list[Call] = field(default_factory=list)
    active: list[str] = field(default_factory=list)
    """The tickets that are being worked on."""

    async def lane(self, number: int, lanes: int, until: "Until") -> None:
        """Take one ticket after the other through a random lifecycle."""
        ticket = number
        while not until.over():
            await self.lifecycle(ticket)
            ticket += lanes

    async def lifecycle(self, number: int) -> None:
        """Let up to three clients, who know nothing of each other, work on one new ticket."""
        draw = drawn(self.seed, number)
        known = Known(self.place, self.technician)
        opener = Client(self, known, f"{number}a", drawn(self.seed, number, "a"))
        await opener.perform(creation(known, number))
        if known.ticket is None:
            return
        self.active.append(known.ticket)
        names = "abc"[: draw.randint(1, 3)]
        steps = draw.randint(4, 12)
        try:
            async with asyncio.TaskGroup() as group:
                for name in names:
                    chance = drawn(self.seed, number, name, "steps")
                    group.create_task(Client(self, known, f"{number}{name}", chance).work(steps))
        finally:
            self.active.remove(known.ticket)


@dataclass
class Until:
    """When a load ends: after so many seconds, or so many requests."""

    crowd: Crowd
    deadline: float
    requests: int

    def over(self) -> bool:
        """Whether no further ticket shall be begun."""
        return time.monotonic() > self.deadline or len(self.crowd.calls) >= self.requests


@dataclass
class Client:
    """One client of one ticket."""

    crowd: Crowd
    known: Known
    name: str
    draw: Random
    sent: list[tuple[Move, str]] = field(default_factory=list)

    async def work(self, steps: int) -> None:
        """Send commands, read in between, and now and then repeat an old call."""
        for _ in range(steps):
            chance = self.draw.random()
            if chance < READ_SHARE:
                await self.read()
            elif chance < READ_SHARE + REPEAT_SHARE and self.sent:
                await self.deliver(*self.draw.choice(self.sent))
            else:
                await self.perform(next_move(self.crowd.bundle, self.known, self.draw))

    def fresh_key(self) -> str:
        """Return a key that was not used before."""
        return str(UUID(int=self.draw.getrandbits(128), version=4))

    async def perform(self, move: Move) -> None:
        """Send a command under a fresh key; sometimes twice at once, through two gateways."""
        key = self.fresh_key()
        self.sent.append((move, key))
        if self.draw.random() < DUPLICATE_SHARE:
            await asyncio.gather(self.deliver(move, key, 0), self.deliver(move, key, 1))
        else:
            await self.deliver(move, key)

    async def deliver(self, move: Move, key: str, gateway: int | None = None) -> None:
        """Repeat a call until its outcome is known, on the next gateway each time.

        Some do not wait at all, and leave with the promise that they get.
        """
        leaves = move.tool != "ticket.create" and self.draw.random() < LEAVING_SHARE
        wait_seconds = 0 if leaves else self.crowd.wait_seconds
        deadline = time.monotonic() + self.crowd.patience_seconds
        turn = self.draw.randrange(2) if gateway is None else gateway
        while time.monotonic() < deadline:
            call, answer = await self._request(move, key, turn, wait_seconds)
            self.crowd.calls.append(call)
            if call.ending is Ending.OK:
                learn(self.known, move, answer)
                if move.tool == "evidence.presign":
                    await self._upload(answer["upload"])
            elif call.state is not None:
                self.known.state = call.state
            if call.ending is not Ending.UNKNOWN or (leaves and call.status == ACCEPTED):
                return
            turn += 1
            await asyncio.sleep(PAUSE_SECONDS)

    async def read(self) -> None:
        """Read the ticket once, whatever comes of it."""
        turn = self.draw.randrange(2)
        headers = TestGateway.as_role("dispatcher")
        request = self._client(turn).build_request(
            "GET", f"/tickets/{self.known.ticket}", headers=headers
        )
        call, answer = await self._send(request, turn, "ticket.get", "dispatcher-1", "")
        self.crowd.calls.append(call)
        if call.ending is Ending.OK:
            self.known.state = answer["state"]

    def _client(self, turn: int) -> httpx.AsyncClient:
        return self.crowd.gateways[turn % len(self.crowd.gateways)]

    async def _request(
        self, move: Move, key: str, turn: int, wait_seconds: int
    ) -> tuple[Call, Row]:
        rule = self.crowd.bundle.tools[move.tool]
        path = rule.route.replace("{ticketId}", str(self.known.ticket))
        headers = TestGateway.as_role(move.role, Idempotency_Key=key, Prefer=f"wait={wait_seconds}")
        request = self._client(turn).build_request(
            rule.method, path, json=move.body, headers=headers
        )
        return await self._send(request, turn, move.tool, headers["X-Actor-Id"], key)

    async def _send(
        self, request: httpx.Request, turn: int, tool: str, actor: str, key: str
    ) -> tuple[Call, Row]:
        base: Row = {"client": self.name, "actor": actor, "tool": tool, "key": key}
        invoked = time.monotonic()
        try:
            async with asyncio.timeout(self.crowd.wait_seconds + GRACE_SECONDS):
                answer = await self._client(turn).send(request)
        except (httpx.TransportError, TimeoutError):
            ended = time.monotonic()
            lost = Call(
                **base, ticket=self.known.ticket, invoked=invoked, ended=ended,
                ending=Ending.UNKNOWN,
            )  # fmt: skip
            return lost, {}
        return self._seen(answer, base, invoked, time.monotonic())

    def _seen(
        self, answer: httpx.Response, base: Row, invoked: float, ended: float
    ) -> tuple[Call, Row]:
        document = document_of(answer)
        error = document.get("error", {})
        shown = document.get("ticket", document)
        ending = ending_of(answer.status_code)
        if ending is not Ending.OK:
            shown = {"state": error.get("from_state")}
        elif not isinstance(shown, dict):
            shown = {}
        new = document.get("id") if base["tool"] == "ticket.create" else None
        call = Call(
            **base,
            ticket=self.known.ticket or (new if ending is Ending.OK else None),
            invoked=invoked,
            ended=ended,
            ending=ending,
            status=answer.status_code,
            code=error.get("code"),
            command=answer.headers.get("X-Command-Id"),
            digest=hashlib.sha256(answer.content).hexdigest(),
            state=shown.get("state"),
            version=shown.get("version"),
        )
        return call, document

    async def _upload(self, upload: dict[str, Any]) -> None:
        """Put the object where the answer says; a store that is down is tried again later."""
        try:
            async with asyncio.timeout(self.crowd.wait_seconds + GRACE_SECONDS):
                await self._client(0).put(upload["url"], content=CONTENT, headers=upload["headers"])
        except (httpx.TransportError, TimeoutError):
            self.known.uploads.pop()


def ending_of(status: int) -> Ending:
    """Return what a client may conclude from a status."""
    if status in {httpx.codes.OK, httpx.codes.CREATED}:
        return Ending.OK
    if status == ACCEPTED or status >= httpx.codes.INTERNAL_SERVER_ERROR:
        return Ending.UNKNOWN
    return Ending.FAIL


def document_of(answer: httpx.Response) -> Row:
    """Return the JSON object of an answer, empty if there is none."""
    try:
        document = answer.json()
    except ValueError:
        return {}
    return document if isinstance(document, dict) else {}
