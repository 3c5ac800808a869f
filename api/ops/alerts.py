"""The alerts: what has gone wrong too often (contract 15.3), or must never go wrong at all."""

from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson

from api.ops.health import SERVICE
from api.ops.runbooks import FILES, places, runbook_paths
from api.ops.undecided import SHOWN_COMMANDS, undecided
from api.wire.counters import MOST_NAMED, Counters
from policy.codes import Code
from policy.rules.bundle import Bundle
from policy.rules.escalation import STUCK as STUCK_SCHEDULING
from policy.values import format_datetime
from runtime.postgres.pool import Pool, reading
from runtime.settings import Settings
from runtime.telemetry.logging import append_line

RESTING = "SELECT resting_tickets($1, $2)"
DAMAGED = "SELECT failed_evidence_checks()"
# The same of one tenant: row-level security leaves no other rows.
RESTING_HERE = """
SELECT count(*) FROM ticket_queue
 WHERE state = ANY ($1) AND coalesce(moved_at, to_timestamp(-newest_first / 1000.0)) <= $2
"""
DAMAGED_HERE = "SELECT count(*) FROM evidence_checks WHERE failure IS NOT NULL"
RESTING_ONES = "SELECT id FROM resting_ticket_ids($1, $2, $3, $4) AS id"
DAMAGED_ONES = "SELECT id FROM damaged_ticket_ids($1, $2) AS id"
WAITING_ONES = "SELECT id FROM waiting_ticket_ids($1, $2) AS id"
UNSTORED = "SELECT proof.late_records($1)"
RECORDS_ARE_LATE = timedelta(minutes=15)
STUCK = "STUCK_SCHEDULING"
EVIDENCE_DAMAGED, EVIDENCE_RUNBOOK = "EVIDENCE_INTEGRITY", "evidence_integrity.md"
UNANCHORED, ANCHORING_RUNBOOK = "AUDIT_NOT_ANCHORED", "audit_anchoring.md"
PROMISE_OVERDUE, COMMAND_GIVEN_UP = "PROMISE_OVERDUE", "COMMAND_GIVEN_UP"
UNDECIDED_RUNBOOK = "undecided_commands.md"
OVERDUE_SECONDS = 60
"""How long a promise may wait: by then it was sent again more than once."""
SIGNALS = {
    STUCK: "stuck_scheduling_count",
    "COMPLETION_REJECTION_SPIKE": "completion_rejection_count",
    "IDEMPOTENCY_CONFLICT_SPIKE": "idempotency_conflict_count",
    "AUTH_POLICY_FAILURE_SPIKE": "auth_policy_rejection_count",
}
COUNTED_CODES = {
    "COMPLETION_REJECTION_SPIKE": (
        Code.CLOSEOUT_REQUIREMENTS_INCOMPLETE,
        Code.MANUAL_REVIEW_REQUIRED,
    ),
    "IDEMPOTENCY_CONFLICT_SPIKE": (Code.IDEMPOTENCY_PAYLOAD_MISMATCH,),
    "AUTH_POLICY_FAILURE_SPIKE": (
        Code.FORBIDDEN,
        Code.FORBIDDEN_SCOPE,
        Code.TOOL_NOT_ALLOWED,
        Code.TOOL_ROLE_FORBIDDEN,
        Code.AUTH_REQUIRED,
        Code.INVALID_AUTH_TOKEN,
        Code.INVALID_AUTH_CLAIMS,
        Code.AUTH_CONFIG_ERROR,
    ),
}


class Alerts:
    """Compares what this process counted, and what rests in the database, with the thresholds."""

    def __init__(self, settings: Settings, bundle: Bundle, counters: Counters, pool: Pool) -> None:
        self._settings = settings
        self._bundle = bundle
        self._counters = counters
        self._pool = pool
        self._thresholds = {
            STUCK: settings.alert_stuck_scheduling_count_threshold,
            "COMPLETION_REJECTION_SPIKE": settings.alert_completion_rejection_threshold,
            "IDEMPOTENCY_CONFLICT_SPIKE": settings.alert_idempotency_conflict_threshold,
            "AUTH_POLICY_FAILURE_SPIKE": settings.alert_auth_policy_rejection_threshold,
        }

    async def report(self, tenant_id: str | None) -> dict[str, Any]:
        """Return the answer of /ops/alerts, and append it to the sink if there is one.

        It tells of one tenant; None: of the whole installation.
        """
        counters = self._counters.seen_by(tenant_id)
        stuck, damaged = await self._in_database(tenant_id)
        counts = {STUCK: stuck}
        counts |= {alert: counters.signal(*codes) for alert, codes in COUNTED_CODES.items()}
        now = format_datetime(datetime.now(UTC))
        body = {
            "service": SERVICE,
            "generated_at": now,
            "window_minutes": self._settings.alert_window_minutes,
            "thresholds": {
                **{SIGNALS[alert]: limit for alert, limit in self._thresholds.items()},
                "stuck_scheduling_minutes": self._settings.alert_stuck_scheduling_minutes,
            },
            "signals": {SIGNALS[alert]: count for alert, count in counts.items()},
            "alerts": [
                *[
                    self._alert(alert, count, await self._tickets(alert, counters, tenant_id))
                    for alert, count in counts.items()
                    if count >= self._thresholds[alert]
                ],
                *await self._of_records(damaged, tenant_id),
                *await self._undecided(tenant_id),
            ],
            "runbooks": runbook_paths(),
            "metrics": {"generated_at": now, "counters": counters.snapshot()},
        }
        if self._settings.alerts_sink_path is not None:
            with suppress(OSError):
                append_line(self._settings.alerts_sink_path, orjson.dumps(body) + b"\n")
        return body

    async def _tickets(self, alert: str, counters: Counters, tenant_id: str | None) -> list[str]:
        """Return the tickets that an alert is about, as far as it is about some: a few of them."""
        if alert != STUCK:
            return counters.named(*COUNTED_CODES[alert])
        return await self._ids(RESTING_ONES, tenant_id, *self._resting(), MOST_NAMED)

    async def _ids(self, sql: str, *values: object) -> list[str]:
        return [str(row["id"]) for row in await self._pool.fetch(sql, *values)]

    def _resting(self) -> tuple[list[str], datetime]:
        """Return the states in which tickets get stuck, and since when they must have rested."""
        rests = timedelta(minutes=self._settings.alert_stuck_scheduling_minutes)
        states = self._bundle.escalation.ladders[STUCK_SCHEDULING].states
        return [state.value for state in states], datetime.now(UTC) - rests

    async def _in_database(self, tenant_id: str | None) -> tuple[int, int]:
        """Return how many tickets are stuck, and how much stored evidence is damaged."""
        states, before = self._resting()
        if tenant_id is None:
            resting = await self._pool.fetchval(RESTING, states, before)
            return resting, await self._pool.fetchval(DAMAGED)
        async with reading(self._pool, tenant_id) as conn:
            resting = await conn.fetchval(RESTING_HERE, states, before)
            return resting, await conn.fetchval(DAMAGED_HERE)

    async def _of_records(self, damaged: int, tenant_id: str | None) -> list[dict[str, Any]]:
        """Return the alerts of what is kept: damaged evidence, and an audit log that stands still.

        Without an object store no checkpoint has a copy.
        """
        alerts = []
        if damaged:
            named = {"tickets": await self._ids(DAMAGED_ONES, tenant_id, MOST_NAMED)}
            alerts.append(_unwelcome(EVIDENCE_DAMAGED, damaged, EVIDENCE_RUNBOOK) | named)
        if self._settings.s3_bucket:
            late = await self._pool.fetchval(UNSTORED, RECORDS_ARE_LATE)
            if late:
                alerts.append(_unwelcome(UNANCHORED, late, ANCHORING_RUNBOOK))
        return alerts

    async def _undecided(self, tenant_id: str | None) -> list[dict[str, Any]]:
        """Return the alerts of promises that wait too long, and of commands that were given up."""
        found, alerts = await undecided(self._pool, tenant_id), []
        if found.oldest_seconds >= OVERDUE_SECONDS:
            age = {"oldest_seconds": round(found.oldest_seconds)}
            tickets = {"tickets": await self._ids(WAITING_ONES, tenant_id, MOST_NAMED)}
            overdue = _unwelcome(PROMISE_OVERDUE, found.waiting, UNDECIDED_RUNBOOK)
            alerts.append({**overdue, **age, **tickets})
        if found.given_up:
            named = {"commands": found.given_up[:SHOWN_COMMANDS]}
            count = len(found.given_up)
            alerts.append(_unwelcome(COMMAND_GIVEN_UP, count, UNDECIDED_RUNBOOK) | named)
        return alerts

    def _alert(self, alert: str, count: int, tickets: list[str]) -> dict[str, Any]:
        stale = {"stale_minutes": self._settings.alert_stuck_scheduling_minutes}
        return {
            "code": alert,
            "severity": "warning",
            "count": count,
            "threshold": self._thresholds[alert],
            **places(FILES[alert]),
            "tickets": tickets,
            **(stale if alert == STUCK else {}),
        }


def _unwelcome(code: str, count: int, runbook: str) -> dict[str, Any]:
    """Return the alert of what must not happen even once."""
    return {
        "code": code,
        "severity": "warning",
        "count": count,
        "threshold": 1,
        **places(runbook),
    }
