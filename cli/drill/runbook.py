"""Following a runbook: its queries and its reads are done as they stand there."""

import re
from collections.abc import AsyncIterator, Mapping
from typing import Final

import asyncpg
import httpx

from cli.scenario.walk import Check
from records.audit.verification import CHECKED_TABLES, SIGHT

_QUERIES: Final = re.compile(r"```sql\n(.*?)```", re.DOTALL)
_READS: Final = re.compile(r"`GET (/[^`\s]+)`")
_UNKNOWN: Final = re.compile(r"<[a-z]+>|\{\w+\}|\.\.\.")
_TIME_LIMIT: Final = "SET LOCAL statement_timeout = '10s'"


async def follow(
    text: str,
    places: Mapping[str, str],
    client: httpx.AsyncClient,
    identity: Mapping[str, str],
    database_url: str | None,
) -> AsyncIterator[Check]:
    """Yield what came of each query and read; `places` are what its placeholders stand for.

    A query must find something. Without a login that sees every tenant queries are left out.
    """
    for place, value in places.items():
        text = text.replace(place, value)
    queries = _QUERIES.findall(text)
    if database_url is None:
        yield Check(f"{len(queries)} queries left out: no login that sees every tenant")
    else:
        for number, query in enumerate(queries, start=1):
            yield Check(f"query {number} finds rows", await _failure_of_query(database_url, query))
    for path in dict.fromkeys(_READS.findall(text)):
        if not _UNKNOWN.search(path):
            yield Check(f"GET {path}", await _failure_of_read(client, path, identity))


async def sees_everything(url: str) -> bool:
    """Whether the login sees the rows of every tenant, as the queries of runbooks need it."""
    conn = await asyncpg.connect(url)
    try:
        return not await conn.fetch(SIGHT, list(CHECKED_TABLES))
    finally:
        await conn.close()


async def _failure_of_query(url: str, query: str) -> str | None:
    if unknown := _UNKNOWN.search(query):
        return f"nothing stands for {unknown[0]}"
    try:
        conn = await asyncpg.connect(url)
        try:
            async with conn.transaction(readonly=True):
                await conn.execute(_TIME_LIMIT)
                return None if await conn.fetch(query) else "no rows"
        finally:
            await conn.close()
    except (OSError, asyncpg.PostgresError) as failure:
        return f"{type(failure).__name__}: {failure}"


async def _failure_of_read(
    client: httpx.AsyncClient, path: str, identity: Mapping[str, str]
) -> str | None:
    answer = await client.get(path, headers=identity)
    return None if answer.is_success else f"HTTP {answer.status_code}"
