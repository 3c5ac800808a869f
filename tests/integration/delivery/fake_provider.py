"""An SMS provider on loopback that fails, hangs, answers twice and dies, as the test tells it."""

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

import orjson

OK = 200


@dataclass
class Moods:
    """How often a request gets which treatment, as shares of 1."""

    fail: float = 0
    hang: float = 0
    lose_answer: float = 0
    """The message is accepted, but the connection breaks before the answer."""


@dataclass
class FakeProvider:
    """Accepts messages by idempotency key; counts every request and keeps every message once."""

    moods: Moods = field(default_factory=Moods)
    requests: Counter[str] = field(default_factory=Counter)
    accepted: dict[str, Mapping[str, str]] = field(default_factory=dict)
    headers: list[Mapping[str, str]] = field(default_factory=list)
    bodies: list[bytes] = field(default_factory=list)
    port: int = 0
    at_once: Counter[str] = field(default_factory=Counter)
    overlaps: set[str] = field(default_factory=set)
    _server: asyncio.Server | None = None
    _writers: set[asyncio.StreamWriter] = field(default_factory=set)
    _random: random.Random = field(default_factory=lambda: random.Random(7))  # noqa: S311

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self.port}/messages"

    async def start(self) -> None:
        """Listen; again on the same port after a death."""
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def was_asked(self) -> bool:
        """Whether any request came."""
        return bool(self.requests)

    async def die(self) -> None:
        """Break every connection and stop listening."""
        if self._server is not None:
            self._server.close()
        for writer in tuple(self._writers):
            writer.transport.abort()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        with suppress(OSError, asyncio.IncompleteReadError):
            while await self._answer(reader, writer):
                pass
        self._writers.discard(writer)
        writer.close()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")[1:-2]
        headers = {
            name.lower(): value for name, _, value in (line.partition(": ") for line in head)
        }
        body = await reader.readexactly(int(headers.get("content-length", 0)))
        key = headers.get("idempotency-key", headers.get("webhook-id", ""))
        self.requests[key] += 1
        self.headers.append(headers)
        self.bodies.append(body)
        self.at_once[key] += 1
        if self.at_once[key] > 1:
            self.overlaps.add(key)
        try:
            return await self._treat(key, body, reader, writer)
        finally:
            self.at_once[key] -= 1

    async def _treat(
        self, key: str, body: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> bool:
        roll = self._random.random()
        if roll < self.moods.fail:
            writer.write(b"HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n")
            await writer.drain()
            return True
        roll -= self.moods.fail
        if roll < self.moods.hang:
            await reader.read()  # until the client gives up
            return False
        roll -= self.moods.hang
        self.accepted.setdefault(key, orjson.loads(body))
        if roll < self.moods.lose_answer:
            return False
        answer = orjson.dumps({"id": f"sms-{key[-12:]}", "status": "queued"})
        head = f"HTTP/1.1 {OK} OK\r\nContent-Length: {len(answer)}\r\n\r\n"
        writer.write(head.encode() + answer)
        await writer.drain()
        return True


@asynccontextmanager
async def fake_provider(moods: Moods | None = None) -> AsyncIterator[FakeProvider]:
    """Run a provider on a free port."""
    provider = FakeProvider(moods or Moods())
    await provider.start()
    try:
        yield provider
    finally:
        await provider.die()
