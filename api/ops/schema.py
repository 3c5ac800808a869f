"""Is the installed schema the one this gateway was built for (contract 15.4, migration)."""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

import asyncpg

from migrations import scripts
from policy.model import State
from policy.rules.bundle import Bundle
from runtime.postgres.migrate import TRANSITION_CHECK
from runtime.postgres.pool import Connection

APPEND_ONLY = ("trg_audit_events_append_only", "trg_ticket_state_transitions_append_only")
KEPT_EVIDENCE = "trg_evidence_items_immutable"
CATALOG = """
SELECT to_regclass('public.tickets') IS NOT NULL AS tickets_table,
       to_regclass('public.closeout_artifacts') IS NOT NULL AS closeout_artifacts_table,
       to_regclass('public.command_log') IS NOT NULL AS command_log_table,
       EXISTS (SELECT FROM pg_attribute
                WHERE attrelid = to_regclass('public.evidence_items')
                  AND attname = 'is_immutable' AND NOT attisdropped) AS evidence_immutable_column,
       ARRAY(SELECT enumlabel::text FROM pg_enum
              WHERE enumtypid = to_regtype('public.ticket_state')
              ORDER BY enumsortorder) AS states,
       ARRAY(SELECT tgname::text FROM pg_trigger
              WHERE NOT tgisinternal AND tgenabled <> 'D') AS triggers,
       (SELECT pg_get_expr(conbin, conrelid) FROM pg_constraint
         WHERE conrelid = to_regclass('public.ticket_state_transitions')
           AND conname = $1 AND convalidated) AS condition
"""
APPLIED = "SELECT name FROM public.schema_migrations ORDER BY name"
# The condition comes from the catalog: it is judged as the database itself would judge it.
ACCEPTED = """
SELECT from_state::text, to_state::text
  FROM (SELECT NULL::ticket_state AS from_state
        UNION ALL SELECT unnest(enum_range(NULL::ticket_state))) origin,
       unnest(enum_range(NULL::ticket_state)) AS to_state
 WHERE ({condition}) IS NOT FALSE
"""


class Schema(NamedTuple):
    """What the database says of itself."""

    objects: Mapping[str, bool]
    states: tuple[str, ...]
    triggers: frozenset[str]
    has_constraint: bool
    accepted: frozenset[str]
    migrations: tuple[str, ...]

    def checks(self, bundle: Bundle) -> dict[str, str]:
        """Return the migration checks."""
        expected = {pair_name(before, after) for before, after in bundle.pairs}
        found = {
            **{name: verdict(present) for name, present in self.objects.items()},
            "ticket_state_enum": verdict(self.states == tuple(State)),
            "cancelled_state": verdict("CANCELLED" in self.states),
            "append_only_triggers": verdict(self.triggers >= set(APPEND_ONLY)),
            "schema_version": self.migrations[-1] if self.migrations else "none",
            "schema_complete": verdict({each.name for each in scripts()} <= set(self.migrations)),
            "transition_constraint": verdict(self.has_constraint and self.accepted == expected),
            "transition_constraint_name": TRANSITION_CHECK,
        }
        pairs = [*(pair_name(*pair) for pair in bundle.pairs), *sorted(self.accepted - expected)]
        judged = {pair: verdict(pair in self.accepted & expected) for pair in pairs}
        return found | judged

    def keeps_evidence(self) -> bool:
        """Return whether sealed evidence and its history cannot be changed."""
        return self.triggers >= {*APPEND_ONLY, KEPT_EVIDENCE}


NOTHING = Schema(
    objects=dict.fromkeys(
        (
            "tickets_table",
            "evidence_immutable_column",
            "closeout_artifacts_table",
            "command_log_table",
        ),
        False,
    ),
    states=(),
    triggers=frozenset(),
    has_constraint=False,
    accepted=frozenset(),
    migrations=(),
)


async def read_schema(conn: Connection) -> Schema:
    """Return what is installed."""
    row = await conn.fetchrow(CATALOG, TRANSITION_CHECK)
    if row is None:
        raise LookupError("a query without FROM always returns a row")
    condition = row["condition"]
    return Schema(
        objects={name: row[name] for name in NOTHING.objects},
        states=tuple(row["states"]),
        triggers=frozenset(row["triggers"]),
        has_constraint=condition is not None,
        accepted=frozenset(await _accepted(conn, condition)),
        migrations=tuple(await _applied(conn)),
    )


async def _accepted(conn: Connection, condition: str | None) -> Iterable[str]:
    if condition is None:
        return ()
    try:
        rows = await conn.fetch(ACCEPTED.format(condition=condition))
    except (asyncpg.SyntaxOrAccessError, asyncpg.DataError):  # it depends on more than the pair
        return ()
    return [pair_name(row["from_state"], row["to_state"]) for row in rows]


async def _applied(conn: Connection) -> Iterable[str]:
    try:
        return [row["name"] for row in await conn.fetch(APPLIED)]
    except asyncpg.UndefinedTableError:
        return ()


def pair_name(before: str | None, after: str) -> str:
    """Return the key of a transition."""
    return f"{before or 'NULL'}->{after}"


def verdict(passed: bool) -> str:  # noqa: FBT001  the verdict on a fact
    """Return the word for a check."""
    return "pass" if passed else "fail"
