"""A lean HTTP/1.1 keep-alive client, so that the load generator is not what is measured."""

import asyncio
from collections.abc import Mapping
from contextlib import AsyncExitStack
from typing import NamedTuple, Self, cast
from urllib.parse import urlsplit

HEAD_END = b"\r\n\r\n"
LENGTH = b"content-length:"


class Reply(NamedTuple):
    """One answer; the head is left as it came."""

    status: int
    head: bytes
    body: bytes


class ConnectionLostError(Exception):
    """The server closed the connection before it had answered."""


class Connection(asyncio.Protocol):
    """One connection, one request at a time."""

    def __init__(self, host: str) -> None:
        self._host = host
        self._transport: asyncio.Transport | None = None
        self._received = bytearray()
        self._reply: asyncio.Future[Reply] | None = None

    @classmethod
    async def open(cls, url: str, stack: AsyncExitStack) -> Self:
        """Connect to the server of `url`, until `stack` is closed."""
        parts = urlsplit(url)
        loop = asyncio.get_running_loop()
        _, connection = await loop.create_connection(
            lambda: cls(parts.netloc), parts.hostname or "127.0.0.1", parts.port or 80
        )
        stack.callback(connection.close)
        return connection

    def close(self) -> None:
        """Close the connection."""
        if self._transport is not None:
            self._transport.close()

    async def post(self, path: str, headers: Mapping[str, str], body: bytes) -> Reply:
        """Send one POST and return its answer."""
        return await self._ask("POST", path, headers, body)

    async def get(self, path: str, headers: Mapping[str, str]) -> Reply:
        """Send one GET and return its answer."""
        return await self._ask("GET", path, headers, b"")

    async def _ask(self, method: str, path: str, headers: Mapping[str, str], body: bytes) -> Reply:
        if self._transport is None:
            raise ConnectionLostError
        self._reply = asyncio.get_running_loop().create_future()
        lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        lines += f"Content-Length: {len(body)}"
        head = f"{method} {path} HTTP/1.1\r\nHost: {self._host}\r\n{lines}"
        self._transport.write(head.encode() + HEAD_END + body)
        return await self._reply

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport (called by asyncio)."""
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is no subclass

    def connection_lost(self, exc: Exception | None) -> None:
        """Fail whoever waits (called by asyncio)."""
        self._transport = None
        if self._reply is not None and not self._reply.done():
            self._reply.set_exception(exc or ConnectionLostError())

    def data_received(self, data: bytes) -> None:
        """Collect the answer; its length is always declared (called by asyncio)."""
        self._received += data
        end = self._received.find(HEAD_END)
        if end < 0 or self._reply is None:
            return
        head = bytes(self._received[:end])
        start = end + len(HEAD_END)
        length = _content_length(head)
        if len(self._received) < start + length:
            return
        body = bytes(self._received[start : start + length])
        self._received.clear()
        self._reply.set_result(Reply(int(head[9:12]), head, body))


def _content_length(head: bytes) -> int:
    lowered = head.lower()
    start = lowered.index(LENGTH) + len(LENGTH)
    end = lowered.find(b"\r\n", start)
    return int(lowered[start : end if end >= 0 else None])
