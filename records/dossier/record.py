"""Gathering: everything that is recorded about one ticket, in one snapshot of its tenant."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from policy.audit.checkpoint import SignedCheckpoint, read_checkpoint
from policy.audit.merkle import Span, Tree, inclusion_spans, leaf_hash, wanted_spans
from policy.audit.shape import timeline_shape
from policy.clock.ticket_clock import ClockFacts, read_clock
from policy.closeout.gate import run_gate, stored_attempt
from policy.closeout.packet import requirements
from policy.deadlines.report import sla_shape
from policy.dossier.manifest import Place, Record
from policy.evidence.model import Evidence
from policy.evidence.variants import Readable, Redaction, readable
from policy.model import Role, Ticket
from policy.rules.bundle import Bundle
from policy.ticket.facts import CompletionContext, TicketFacts
from policy.ticket.shape import ticket_shape
from policy.values import format_datetime
from records.evidence.rows import ITEMS, REDACTIONS
from runtime.postgres.pool import Connection

SITE = """
SELECT id::text, name, address1, address2, city, region, postal_code, country, timezone
  FROM sites WHERE id = $1
"""
ACCOUNT = "SELECT id::text, name FROM accounts WHERE id = $1"
TECHNICIAN = "SELECT name FROM technicians WHERE id = $1"
EVENTS = """
SELECT a.id, a.ticket_id, a.actor_type::text, a.actor_id, a.actor_role, a.tool_name, a.request_id,
       a.correlation_id, a.trace_id, a.before_state::text, a.after_state::text, a.payload,
       a.created_at, a.tenant_id, a.command_id, a.seq, a.policy_bundle_sha256, a.prev_hash, a.hash,
       e.log_index
  FROM audit_events a LEFT JOIN proof.entries e ON e.audit_event_id = a.id
 WHERE a.ticket_id = $1 ORDER BY a.seq
"""
TRANSITIONS = """
SELECT id, from_state::text, to_state::text, audit_event_id, created_at
  FROM ticket_state_transitions WHERE ticket_id = $1 ORDER BY seq
"""
DECISIONS = """
SELECT c.command_id, c.tool_name, c.actor_type::text, c.actor_id, c.actor_role, c.decision, c.code,
       c.dimension, c.response_code, c.policy_bundle_version, c.policy_bundle_sha256,
       c.submitted_at, c.decided_at,
       c.decision = 'ALLOW' AND NOT EXISTS (SELECT FROM audit_events a
            WHERE a.ticket_id = $1 AND a.command_id = c.command_id) AS repeat
  FROM command_log c
 WHERE c.decision IS NOT NULL
   AND (c.ticket_id = $1 OR c.command_id IN (
            SELECT a.command_id FROM audit_events a WHERE a.ticket_id = $1))
 ORDER BY c.decided_at, c.command_id
"""
APPROVALS = """
SELECT id, status::text, requested_by, requested_at, decided_by, decided_at, approval_type,
       amount_delta_cents, reason
  FROM approvals WHERE ticket_id = $1 ORDER BY created_at, id
"""
ESCALATIONS = """
SELECT kind, level, due_at, raised_at, acknowledged_by, acknowledged_at
  FROM ticket_escalations WHERE ticket_id = $1 ORDER BY raised_at, level
"""
ARTIFACTS = """
SELECT artifact_type, artifact_name, artifact_hash, artifact_payload
  FROM closeout_artifacts WHERE ticket_id = $1 ORDER BY artifact_type
"""
EXCEPTED = """
SELECT DISTINCT unnest(evidence_keys) AS key FROM evidence_exceptions
 WHERE ticket_id = $1 AND granted_role IN ('qa', 'approver')
"""
BUNDLES = "SELECT sha256, document FROM proof.bundles WHERE sha256 = ANY ($1)"
CHECKPOINT = "SELECT * FROM proof.checkpoints WHERE tree_size > $1 ORDER BY number LIMIT 1"
LEAVES = "SELECT log_index, row_hash FROM proof.entries WHERE log_index = ANY ($1)"
NODES = """
SELECT n.span_start, n.span_end, n.hash FROM proof.nodes n
  JOIN unnest($1::bigint[], $2::bigint[]) AS wanted (span_start, span_end)
 USING (span_start, span_end)
"""
CLOCK = "SELECT sla_facts($1, $2, $3, $4)"
COMPLETIONS = ("tech.complete", "closeout.candidate", "dispatch.manual_bypass")


async def gather(
    conn: Connection, bundle: Bundle, ticket: Ticket, role: Role | None
) -> tuple[Record, Sequence[Readable]] | None:
    """Return the record of a ticket that the connection's tenant may see, and its evidence.

    It is what `role` may read; None is whoever may come to see it. The answer is None if nothing
    was recorded of it.
    """
    subject = ticket.id
    rows = await conn.fetch(EVENTS, subject)
    if not rows:
        return None
    now = rows[-1]["created_at"]
    events = [timeline_shape(dict(row)) | {"hash": row["hash"]} for row in rows]
    indexes = [row["log_index"] for row in rows if row["log_index"] is not None]
    checkpoint, places = await prove(conn, indexes)
    items = [Evidence(**row) for row in await conn.fetch(ITEMS, subject)]
    hashes = {event["policy_bundle_sha256"] for event in events}
    bundles = {row["sha256"]: row["document"] for row in await conn.fetch(BUNDLES, list(hashes))}
    completion = _completion(events)
    facts = await _facts(conn, ticket, now, items, completion)
    gate = run_gate(bundle, facts, stored_attempt(completion, needed=False), all_uris=True)
    record = Record(
        ticket=ticket_shape(bundle, ticket, now, await _clock(conn, ticket, always=False)),
        site=await _one(conn, SITE, ticket.site_id),
        account=await _one(conn, ACCOUNT, ticket.account_id),
        technician=await conn.fetchval(TECHNICIAN, ticket.assigned_tech_id),
        sla=await _sla(conn, bundle, ticket, now),
        approvals=await _listed(conn, APPROVALS, subject),
        escalations=await _listed(conn, ESCALATIONS, subject),
        completion=dict(completion.request) if completion else None,
        requirements=requirements(bundle, gate),
        transitions=await _listed(conn, TRANSITIONS, subject),
        decisions=await _listed(conn, DECISIONS, subject),
        artifacts=[dict(row) for row in await conn.fetch(ARTIFACTS, subject)],
        events=events,
        places=places,
        checkpoint=checkpoint,
        bundles=bundles,
    )
    redactions = [Redaction(**row) for row in await conn.fetch(REDACTIONS, subject)]
    return record, readable(role, items, redactions)


async def prove(
    conn: Connection, indexes: list[int]
) -> tuple[SignedCheckpoint | None, list[Place]]:
    """Return the first checkpoint that covers these rows of the log, and their proofs in it."""
    if not indexes:
        return None, []
    row = await conn.fetchrow(CHECKPOINT, max(indexes))
    if row is None:
        raise LookupError("an entry of the log is covered by no checkpoint")
    size = row["tree_size"]
    paths = [inclusion_spans(index, size) for index in indexes]
    tree = Tree(await _hashes(conn, (span for path in paths for span in path)))
    places = [Place(index, tree.hashes(path)) for index, path in zip(indexes, paths, strict=True)]
    return read_checkpoint(row), places


async def _hashes(conn: Connection, spans: Iterable[Span]) -> dict[Span, bytes]:
    wanted = wanted_spans(spans)
    leaves = [span.start for span in wanted if span.end == span.start + 1]
    kept = [span for span in wanted if span.end > span.start + 1]
    known = {
        Span(index, index + 1): leaf_hash(row_hash)
        for index, row_hash in await conn.fetch(LEAVES, leaves)
    }
    starts, ends = [span.start for span in kept], [span.end for span in kept]
    for start, end, node in await conn.fetch(NODES, starts, ends):
        known[Span(start, end)] = node
    return known


async def _facts(
    conn: Connection,
    ticket: Ticket,
    now: datetime,
    evidence: Sequence[Evidence],
    completion: CompletionContext | None,
) -> TicketFacts:
    """Return what the closeout gate looks at, as of an instant."""
    excepted = await conn.fetch(EXCEPTED, ticket.id)
    return TicketFacts(
        now=now,
        ticket=ticket,
        audit_id=ticket.id,  # nothing is written that would need new ids
        new_ids=(ticket.id, ticket.id),
        evidence=tuple(evidence),
        excepted_keys=frozenset(row["key"] for row in excepted),
        completion=completion,
    )


def _completion(events: list[dict[str, Any]]) -> CompletionContext | None:
    for event in reversed(events):
        if event["tool_name"] in COMPLETIONS and event["after_state"] == (
            "COMPLETED_PENDING_VERIFICATION"
        ):
            request = event["payload"].get("request") or {}
            return CompletionContext(tool_name=event["tool_name"], request=request)
    return None


async def _clock(conn: Connection, ticket: Ticket, *, always: bool) -> ClockFacts | None:
    """Return what the clock follows from; `always` also under the standard contract."""
    place = (ticket.id, ticket.account_id, ticket.site_id)
    return read_clock(await conn.fetchval(CLOCK, *place, always))


async def _sla(conn: Connection, bundle: Bundle, ticket: Ticket, now: datetime) -> dict[str, Any]:
    """Return every target with its deadline, and the ledger of the clock."""
    clock = await _clock(conn, ticket, always=True)
    if clock is None:
        raise LookupError("the site and the account of a ticket exist")
    return sla_shape(bundle, ticket, now, clock)


async def _one(conn: Connection, statement: str, subject: UUID) -> dict[str, Any]:
    row = await conn.fetchrow(statement, subject)
    if row is None:
        raise LookupError("a ticket's site and account exist")
    return dict(row)


async def _listed(conn: Connection, statement: str, subject: UUID) -> list[dict[str, Any]]:
    return [_plain(row) for row in await conn.fetch(statement, subject)]


def _plain(row: Any) -> dict[str, Any]:  # noqa: ANN401  a row of the driver
    return {name: _value(value) for name, value in dict(row).items()}


def _value(value: object) -> object:
    if isinstance(value, datetime):
        return format_datetime(value)
    return str(value) if isinstance(value, UUID) else value
