"""Draws papers, each in a process of its own, and so many of them at a time.

`python -m records.dossier.papers` reads what its parent pickled from standard input and writes the
PDF; its working directory is an empty folder that its parent removes. Drawing takes seconds of
processor time: in the process that serves, everybody would wait.
"""

import asyncio
import pickle
import resource
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from policy.dossier.manifest import Record
from records.dossier.thumbnails import Picture

# `-I`: neither the environment nor the working directory decides what runs.
DRAWER = (sys.executable, "-I", "-m", "records.dossier.papers")
AT_ONCE, MOST_WAITING = 1, 8
LIMIT_SECONDS = 60
LIMITS = {
    resource.RLIMIT_AS: 1 << 30,
    resource.RLIMIT_CPU: LIMIT_SECONDS,
    resource.RLIMIT_CORE: 0,
}


class BusyError(Exception):
    """So many wait already that there is no place in the queue."""


class NotDrawnError(Exception):
    """The process that was to draw failed or was stopped."""


class Turns:
    """So many at a time, so many waiting, and nobody else."""

    def __init__(self, at_once: int, most_waiting: int) -> None:
        self._places = asyncio.Semaphore(at_once)
        self._room = most_waiting

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[None]:
        """Wait for a turn and take it; raise `BusyError` where the queue is full."""
        if self._places.locked() and self._room <= 0:
            raise BusyError
        self._room -= 1
        try:
            await self._places.acquire()
        finally:
            self._room += 1
        try:
            yield
        finally:
            self._places.release()


class Papers:
    """Draws what it is asked for; raises `BusyError` and `NotDrawnError`."""

    def __init__(self, most_waiting: int = MOST_WAITING) -> None:
        self._turns = Turns(AT_ONCE, most_waiting)

    async def packet(self, record: Record, shown: Sequence[Picture]) -> bytes:
        """Return the PDF of a dossier's packet."""
        return await self._drawn("packet", record, shown)

    async def invoice(
        self, invoice: Mapping[str, Any], site: Mapping[str, Any], account: Mapping[str, Any]
    ) -> bytes:
        """Return the PDF of a draft invoice."""
        return await self._drawn("invoice", invoice, site, account)

    async def _drawn(self, paper: str, *parts: Any) -> bytes:  # noqa: ANN401  parts of any paper
        async with self._turns.turn():
            # Ours to remove: a drawer that is stopped removes nothing.
            with TemporaryDirectory(prefix="dispatch-paper-") as folder:
                return await _draw(paper, pickle.dumps((paper, parts)), folder)


async def _draw(paper: str, told: bytes, folder: str) -> bytes:
    pipe = asyncio.subprocess.PIPE
    drawer = await asyncio.create_subprocess_exec(
        *DRAWER, stdin=pipe, stdout=pipe, env={}, cwd=folder
    )
    try:
        async with asyncio.timeout(LIMIT_SECONDS):
            content, _ = await drawer.communicate(told)
    except TimeoutError:
        raise NotDrawnError(paper) from None
    finally:
        if drawer.returncode is None:
            drawer.kill()
            await drawer.wait()
    if drawer.returncode != 0 or not content:
        raise NotDrawnError(paper)
    return content


def main() -> None:
    """Draw within the limits of a process that serves nothing else."""
    # Here alone: a tenth of the start of a process that never draws.
    from records.dossier.invoice import invoice_page  # noqa: PLC0415
    from records.dossier.packet import packet  # noqa: PLC0415
    from records.dossier.typesetter import typeset  # noqa: PLC0415

    for limit, value in LIMITS.items():
        with suppress(ValueError, OSError):  # not every system knows every limit
            resource.setrlimit(limit, (value, value))
    paper, parts = pickle.load(sys.stdin.buffer)  # noqa: S301  our parent wrote it
    page = packet(*parts) if paper == "packet" else invoice_page(*parts)
    sys.stdout.buffer.write(typeset(page, Path.cwd()))


if __name__ == "__main__":
    main()
