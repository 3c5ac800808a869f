"""TCP connections that can be cut, reset, delayed and left half-open."""

import asyncio
import socket
import struct
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from urllib.parse import urlsplit

_NO_LINGER = struct.pack("ii", 1, 0)  # closing sends a reset


class Cable:
    """A way to a server that can go wrong."""

    def __init__(self, target: str) -> None:
        address = urlsplit(target if "//" in target else f"//{target}")
        self._target = (address.hostname or "", address.port or 0)
        self._through = target
        self._server: asyncio.Server | None = None
        self._near: set[asyncio.StreamWriter] = set()
        self._far: set[asyncio.StreamWriter] = set()
        self._silent: set[asyncio.StreamWriter] = set()
        self.delay_seconds = 0.0
        self.port = 0

    @property
    def url(self) -> str:
        """The server's address by this cable."""
        host, port = self._target
        return self._through.replace(f"{host}:{port}", f"127.0.0.1:{self.port}")

    async def mend(self) -> None:
        """Carry at once again, on the same port as before; end what was left half-open."""
        self.delay_seconds = 0.0
        for writer in self._silent:
            writer.transport.abort()
        self._silent.clear()
        if self._server is None:
            self._server = await asyncio.start_server(self._carry, "127.0.0.1", self.port)
            self.port = self._server.sockets[0].getsockname()[1]

    async def cut(self) -> None:
        """Refuse new connections and abort the open ones."""
        if self._server is not None:
            self._server.close()
            self._server = None
        for writer in self._near | self._far:
            writer.transport.abort()

    async def reset(self) -> None:
        """Reset the open connections; new ones are carried."""
        for writer in self._near | self._far:
            line: socket.socket = writer.get_extra_info("socket")
            with suppress(OSError):
                line.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NO_LINGER)
            writer.transport.abort()

    async def leave_half_open(self) -> None:
        """Lose the server's end of every open connection, and do not tell the client."""
        self._silent |= self._near
        for writer in self._far:
            writer.transport.abort()

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            far_reader, far_writer = await asyncio.open_connection(*self._target)
        except OSError:
            writer.transport.abort()
            return
        self._near.add(writer)
        self._far.add(far_writer)
        try:
            await asyncio.gather(self._pump(reader, far_writer), self._pump(far_reader, writer))
        finally:
            self._near.discard(writer)
            self._far.discard(far_writer)

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while data := await reader.read(65536):
                if self.delay_seconds:
                    await asyncio.sleep(self.delay_seconds)
                writer.write(data)
                await writer.drain()
        if writer not in self._silent:
            writer.close()


@asynccontextmanager
async def cable(env: Mapping[str, str], variable: str) -> AsyncIterator[Cable]:
    """Lay a cable to the server that a variable names; cut at the end."""
    wire = Cable(env[variable])
    await wire.mend()
    try:
        yield wire
    finally:
        await wire.cut()
