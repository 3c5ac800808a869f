"""A TCP proxy that cuts and stalls connections and lets later ones overtake earlier ones."""

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from urllib.parse import urlsplit

PIECE_BYTES = 65536
GONE = (OSError, asyncio.IncompleteReadError)


@dataclass(frozen=True)
class Harm:
    """How often, of a hundred pieces of 64 KiB, and for how long at most."""

    cut_percent: float
    stall_percent: float
    stall_seconds: float
    late_seconds: float


class BadWire:
    """Carries bytes to one server, badly. `cuts` and `stalls` count what was done to them."""

    def __init__(self, target: str, harm: Harm, seed: int) -> None:
        address = urlsplit(target)
        self._target = (address.hostname or "", address.port or 0)
        self._harm = harm
        self._chance = random.Random(seed)  # noqa: S311  no secret
        self.port = 0
        self.cuts = self.stalls = self.connections = 0

    @property
    def url(self) -> str:
        """The server's address by this wire."""
        return f"http://127.0.0.1:{self.port}"

    async def carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Carry one connection. It starts late by chance, so that others overtake it."""
        self.connections += 1
        await asyncio.sleep(self._chance.uniform(0, self._harm.late_seconds))
        try:
            there_reader, there_writer = await asyncio.open_connection(*self._target)
        except OSError:
            writer.transport.abort()
            return
        ends = (writer, there_writer)
        await asyncio.gather(
            self._pump(reader, there_writer, ends), self._pump(there_reader, writer, ends)
        )

    async def _pump(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        ends: tuple[asyncio.StreamWriter, asyncio.StreamWriter],
    ) -> None:
        with suppress(*GONE):
            while data := await reader.read(PIECE_BYTES):
                fate = self._chance.uniform(0, 100)
                if fate < self._harm.cut_percent:
                    self.cuts += 1
                    for end in ends:
                        end.transport.abort()
                    return
                if fate < self._harm.cut_percent + self._harm.stall_percent:
                    self.stalls += 1
                    await asyncio.sleep(self._chance.uniform(0, self._harm.stall_seconds))
                writer.write(data)
                await writer.drain()
        with suppress(*GONE):
            writer.close()


@asynccontextmanager
async def bad_wire(target: str, harm: Harm, seed: int, port: int = 0) -> AsyncIterator[BadWire]:
    """Lay a bad wire to a server."""
    wire = BadWire(target, harm, seed)
    server = await asyncio.start_server(wire.carry, "127.0.0.1", port)
    wire.port = server.sockets[0].getsockname()[1]
    try:
        yield wire
    finally:
        server.close()
