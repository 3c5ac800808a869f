"""A stack whose processes a test may kill, stop and cut off; the supervisor brings them back."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from urllib.parse import urlsplit

from policy.bundle import load_bundle
from runtime.stack import EmbeddedStack, PartName
from runtime.verification import Verification
from tests.polling import eventually

GATE = "SELECT pg_advisory_xact_lock(hashtextextended($1, 0))"
WAITS_AT_GATE = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"


@dataclass(frozen=True)
class Faults:
    """What can go wrong with a running stack."""

    stack: EmbeddedStack

    def kill(self, part: PartName) -> None:
        """Kill a part as the kernel would, with no chance to clean up."""
        os.kill(self.stack.pid(part), signal.SIGKILL)

    @contextmanager
    def stopped(self, part: PartName) -> Iterator[None]:
        """Stop a part in the middle of whatever it does, and let it go on afterwards."""
        pid = self.stack.pid(part)
        os.kill(pid, signal.SIGSTOP)
        try:
            yield
        finally:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)

    async def is_back(self, part: PartName, killed: int) -> None:
        """Wait until the supervisor has restarted a killed part."""

        async def has_new_process() -> bool:
            with suppress(LookupError):
                return self.stack.pid(part) != killed
            return False

        await eventually(has_new_process, within=30, what=f"the restart of {part}")


class Cable:
    """A TCP connection to a server that can be cut and mended."""

    def __init__(self, target: str) -> None:
        address = urlsplit(target if "//" in target else f"//{target}")
        self._target = (address.hostname or "", address.port or 0)
        self._through = target
        self._server: asyncio.Server | None = None
        self._open: set[asyncio.StreamWriter] = set()
        self.port = 0

    @property
    def url(self) -> str:
        """The server's address by this cable."""
        host, port = self._target
        return self._through.replace(f"{host}:{port}", f"127.0.0.1:{self.port}")

    async def mend(self) -> None:
        """Accept connections, on the same port as before."""
        self._server = await asyncio.start_server(self._carry, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def cut(self) -> None:
        """Refuse new connections and abort the open ones."""
        if self._server is not None:
            self._server.close()
        for writer in self._open:
            writer.transport.abort()
        self._open.clear()

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there_reader, there_writer = await asyncio.open_connection(*self._target)
        self._open |= {writer, there_writer}
        await asyncio.gather(_pump(reader, there_writer), _pump(there_reader, writer))


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
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


async def assert_whole(owner_url: str) -> None:
    """Re-check every chain and every row that belongs to it."""
    check = Verification(owner_url, frozenset(load_bundle().pairs))
    assert [fault async for fault in check.faults()] == []
