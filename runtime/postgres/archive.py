"""The whole database as one file in Postgres's custom format, by Postgres's own programs."""

import hashlib
import os
import re
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import asyncpg

from runtime.postgres.archive_rights import assert_reads_everything
from runtime.postgres.pool import (
    APPLICATION_ROLE,
    CONNECT_TIMEOUT_SECONDS,
    GATEWAY_ROLE,
    Connection,
    DatabaseError,
)
from runtime.postgres.programs import PostgresPrograms, lines_of, run_program

Report: TypeAlias = Callable[[str], None]
ANY_RELATION = """
SELECT min(format('%I.%I', n.nspname, c.relname))
  FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
 WHERE n.nspname <> 'information_schema' AND n.nspname NOT LIKE 'pg\\_%'
"""
COUNTS = """
SELECT (SELECT count(*) FROM tickets) AS tickets,
       (SELECT count(*) FROM audit_events) AS audit_events,
       (SELECT count(*) FROM command_log WHERE decided_at IS NULL) AS undecided_commands,
       (SELECT max(name) FROM schema_migrations) AS newest_migration
"""
COMPARED = ("number", "tree_size", "root_hash", "previous", "key_id", "signature")
CHECKPOINTS = f"SELECT {', '.join(f'{name}::text' for name in COMPARED)} FROM proof.checkpoints"  # noqa: S608  our own names
HAS_ROLE = "SELECT EXISTS (SELECT FROM pg_roles WHERE rolname = $1)"
MAY_SET = "SELECT pg_has_role(current_user, $1, 'SET')"
_FRESH = "NOLOGIN NOSUPERUSER NOBYPASSRLS NOCREATEDB NOCREATEROLE NOINHERIT"
_TABLE = re.compile(r'(?:dumping contents of|processing data for) table "([^"]+)"')
_COPY = re.compile(r"COPY proof\.checkpoints \((.*)\) FROM stdin;")
_PRIVATE_FILE = 0o600


class ArchiveError(DatabaseError):
    """A backup could not be made or read back; nothing of it was kept."""


@dataclass(frozen=True)
class Checkpoints:
    """The signed states of the audit log: how many, the newest, and a digest of all of them."""

    count: int
    newest_number: int
    newest_root: str
    digest: str


@dataclass(frozen=True)
class Contents:
    """What a backup holds, as of one instant."""

    tickets: int
    audit_events: int
    undecided_commands: int
    newest_migration: str | None
    checkpoints: Checkpoints


async def back_up(url: str, path: Path, report: Report) -> Contents:
    """Write the database to a new file and return what is in it.

    The file appears in one step, when it is whole, readable by its owner alone. Raises
    `DatabaseError`, and leaves nothing, if it is there already or cannot be written whole.
    """
    if path.exists():  # noqa: ASYNC240  one look, before anything else runs
        raise ArchiveError(f"{path} is there already: a backup replaces no other")
    async with _connection(url) as conn:
        programs = await PostgresPrograms.for_server(conn)
        way = await assert_reads_everything(conn)
        partial = _new_file(path)
        try:
            async with _snapshot(conn) as snapshot:
                what = ("--format=custom", f"--snapshot={snapshot}", f"--file={partial}", *way)
                await run_program(programs.dump, (*what, "--verbose"), url, _hearing(report))
                found = await _contents(conn)
            if await _checkpoints_in(programs, partial) != found.checkpoints:
                raise ArchiveError(f"{path} would not hold the checkpoints of the database")
            _keep(partial, path)
        finally:
            partial.unlink(missing_ok=True)
    return found


async def bring_back(url: str, path: Path, report: Report) -> Contents:
    """Read a backup into an empty database and return what is there now.

    All of it or nothing. Raises `DatabaseError` if the database is not empty, the file is no
    whole backup, or the checkpoints in the database are not those of the file.
    """
    async with _connection(url) as conn:
        if (there := await conn.fetchval(ANY_RELATION)) is not None:
            raise ArchiveError(
                f"the database is not empty, it has {there}: name one that is, in"
                " DISPATCH_DATABASE_URL"
            )
        programs = await PostgresPrograms.for_server(conn)
        expected = await _checkpoints_in(programs, path)
        await _ensure_roles(conn)
        how = ("--single-transaction", "--exit-on-error", "--verbose", str(path))
        await run_program(programs.restore, how, url, _hearing(report))
        found = await _contents(conn)
    if found.checkpoints != expected:
        raise ArchiveError("the checkpoints in the database are not those of the file")
    return found


@asynccontextmanager
async def _connection(url: str) -> AsyncIterator[Connection]:
    conn = await asyncpg.connect(url, timeout=CONNECT_TIMEOUT_SECONDS)
    try:
        yield conn
    finally:
        await conn.close()


@asynccontextmanager
async def _snapshot(conn: Connection) -> AsyncIterator[str]:
    """Hold one instant of the database, for the program and for what is counted beside it."""
    async with conn.transaction(isolation="repeatable_read", readonly=True):
        yield await conn.fetchval("SELECT pg_export_snapshot()")


async def _contents(conn: Connection) -> Contents:
    (counts,) = await conn.fetch(COUNTS)
    rows = await conn.fetch(CHECKPOINTS)
    return Contents(**counts, checkpoints=_summed(tuple(row) for row in rows))


async def _checkpoints_in(programs: PostgresPrograms, path: Path) -> Checkpoints:
    """Return the checkpoints that a backup holds, read from the file itself."""
    what = ("--data-only", "--schema=proof", "--table=checkpoints", "--file=-", str(path))
    names: list[str] | None = None
    rows = []
    async for line in lines_of(programs.restore, what):
        if head := _COPY.fullmatch(line):
            names = head.group(1).split(", ")
        elif line == "\\.":
            break
        elif names is not None:
            row = dict(zip(names, line.split("\t"), strict=True))
            rows.append(tuple(row[name] for name in COMPARED))
    if names is None:
        raise ArchiveError(f"{path} is no backup of an installation: it has no checkpoints")
    return _summed(rows)


def _summed(rows: Iterable[tuple[str, ...]]) -> Checkpoints:
    """Return what tells one set of checkpoints from another; rows come in any order."""
    ordered = sorted(rows, key=lambda row: int(row[0]))
    digest = hashlib.sha256("\n".join("\t".join(row) for row in ordered).encode()).hexdigest()
    newest = dict(zip(COMPARED, ordered[-1], strict=True)) if ordered else {}
    number, root = int(newest.get("number", 0)), newest.get("root_hash", "")
    return Checkpoints(len(ordered), number, root, digest)


async def _ensure_roles(conn: Connection) -> None:
    """Make the application's roles, as the migrations do: no dump holds what is the server's."""
    for role in (APPLICATION_ROLE, GATEWAY_ROLE):
        if not await conn.fetchval(HAS_ROLE, role):
            await conn.execute(f"CREATE ROLE {role} {_FRESH}")
        if not await conn.fetchval(MAY_SET, role):
            await conn.execute(f"GRANT {role} TO CURRENT_USER WITH INHERIT FALSE, SET TRUE")


def _hearing(report: Report) -> Callable[[str], None]:
    def hear(line: str) -> None:
        if found := _TABLE.search(line):
            report(found.group(1))

    return hear


def _new_file(path: Path) -> Path:
    partial = path.with_name(f"{path.name}.part")
    partial.unlink(missing_ok=True)
    os.close(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, _PRIVATE_FILE))
    return partial


def _keep(partial: Path, path: Path) -> None:
    """Give a file its name once the disk has it."""
    with partial.open("rb") as file:
        os.fsync(file.fileno())
    partial.rename(path)
