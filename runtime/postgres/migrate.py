"""Migrations: applied once, in order, in one transaction."""

import hashlib
import re
from collections.abc import Iterable
from typing import TypeAlias

import asyncpg

from migrations import Script, scripts
from runtime.postgres.pool import CONNECT_TIMEOUT_SECONDS, Connection, DatabaseError

TransitionPair: TypeAlias = tuple[str | None, str]
TRANSITION_CHECK = "chk_ticket_state_transition_valid"
MIGRATION_LOCK = "SELECT pg_advisory_xact_lock(hashtextextended('dispatch.migrate', 0))"
HAS_MIGRATIONS = "SELECT to_regclass('public.schema_migrations') IS NOT NULL"
APPLIED = "SELECT name, sha256 FROM public.schema_migrations"
RECORD_APPLIED = "INSERT INTO public.schema_migrations (name, sha256) VALUES ($1, $2)"
NEWEST = "SELECT 'migrations/' || max(name) FROM public.schema_migrations"
TRANSITION_CHECK_MARK = """
    SELECT obj_description(oid, 'pg_constraint') FROM pg_constraint
     WHERE conrelid = 'public.ticket_state_transitions'::regclass AND conname = $1
"""
STATE_LABEL = re.compile(r"[A-Z][A-Z_]*")


class MigrationError(DatabaseError):
    """A migration cannot be applied; nothing of the run was kept."""


async def migrate(url: str, pairs: Iterable[TransitionPair]) -> list[str]:
    """Apply what is new in one transaction, as the login role of `url`; see `apply_migrations`."""
    conn = await asyncpg.connect(url, timeout=CONNECT_TIMEOUT_SECONDS)
    try:
        async with conn.transaction():
            return await apply_migrations(conn, pairs)
    finally:
        await conn.close()


async def apply_migrations(conn: Connection, pairs: Iterable[TransitionPair]) -> list[str]:
    """Apply what is new inside the caller's transaction and return its paths, oldest first.

    `pairs` are the legal transitions of the policy bundle. Concurrent callers take turns. Raises
    `MigrationError` if an applied file was changed or a statement fails.
    """
    await conn.execute("SET LOCAL search_path = public")
    await conn.execute(MIGRATION_LOCK)
    applied = await _applied(conn)
    fresh = [script for script in scripts() if _is_new(script, applied.get(script.name))]
    for script in fresh:
        await _apply(conn, script)
    await _install_transition_check(conn, transition_check_sql(pairs))
    return [script.path for script in fresh]


async def newest_migration(conn: Connection) -> str | None:
    """Return the path of the newest applied migration, or None before the first."""
    if not await conn.fetchval(HAS_MIGRATIONS):
        return None
    newest: str | None = await conn.fetchval(NEWEST)
    return newest


async def _applied(conn: Connection) -> dict[str, str]:
    if not await conn.fetchval(HAS_MIGRATIONS):
        return {}
    return {row["name"]: row["sha256"] for row in await conn.fetch(APPLIED)}


def _is_new(script: Script, applied_sha256: str | None) -> bool:
    if applied_sha256 is None:
        return True
    if not script.is_the_same_as(applied_sha256):
        raise MigrationError(
            f"{script.path} was changed after it had been applied "
            f"(sha256 {applied_sha256}, now {script.sha256}): put the change into a new file"
        )
    return False


async def _apply(conn: Connection, script: Script) -> None:
    try:
        await conn.execute(script.sql)
    except asyncpg.PostgresError as error:
        raise MigrationError(f"{script.path} failed: {error}") from error
    await conn.execute(RECORD_APPLIED, script.name, script.sha256)


def transition_check_sql(pairs: Iterable[TransitionPair]) -> str:
    """Return the SQL condition that holds for exactly these pairs; it is never null."""
    cases = [_pair_sql(before, after) for before, after in pairs]
    return f"COALESCE({' OR '.join(cases)}, false)"


def _pair_sql(before: str | None, after: str) -> str:
    for label in (before, after):
        if label is not None and not STATE_LABEL.fullmatch(label):
            raise ValueError(f"not a state: {label!r}")
    origin = "from_state IS NULL" if before is None else f"from_state = '{before}'"
    return f"({origin} AND to_state = '{after}')"


async def _install_transition_check(conn: Connection, condition: str) -> None:
    mark = f"sha256:{hashlib.sha256(condition.encode()).hexdigest()}"
    if await conn.fetchval(TRANSITION_CHECK_MARK, TRANSITION_CHECK) == mark:
        return
    try:
        await conn.execute(
            f"ALTER TABLE ticket_state_transitions DROP CONSTRAINT IF EXISTS {TRANSITION_CHECK},"
            f" ADD CONSTRAINT {TRANSITION_CHECK} CHECK ({condition})"
        )
    except asyncpg.CheckViolationError as error:
        raise MigrationError(
            "recorded transitions are not legal in this policy bundle; a pair that was used "
            "cannot be removed"
        ) from error
    await conn.execute(
        f"COMMENT ON CONSTRAINT {TRANSITION_CHECK} ON ticket_state_transitions IS '{mark}'"
    )
