"""The dispatcher's cockpit: the queue, and one ticket in full (contract 10.2)."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import orjson

from api.cockpit.board import Board, BoardFilter
from api.reads.query import Query, encoded, read
from api.reads.ticket import timeline_events
from api.reads.tools import ReadRequest
from api.reads.view import find_ticket, reading
from api.wire.errors import ApiError
from policy.codes import Code
from policy.command.access import scope_denial
from policy.deadlines.report import sla_shape
from policy.deadlines.sla import SlaStatus
from policy.model import Actor, Priority, Role, State
from policy.reads.actions import (
    COCKPIT_ACTIONS,
    COCKPIT_MORE_ACTIONS,
    TICKET_ID,
    Situation,
    actions_of,
)
from policy.reads.actor import actor_shape
from policy.reads.cockpit import (
    DEFAULT_LIMIT,
    BoardRow,
    Position,
    board_row,
    spans_of,
)
from policy.rules.bundle import OPEN_STATES, Bundle
from policy.ticket.shape import ticket_shape
from policy.values import (
    format_datetime,
    identifier,
    parse_datetime,
    parse_uuid,
    truncate_to_milliseconds,
)
from runtime.postgres.pool import Connection, Pool

NOW = "SELECT now()"
DETAILS = """
SELECT t.id AS ticket_id, t.incident_type, t.scheduled_start, t.assigned_tech_id, t.updated_at,
       q.audited_at, q.moved_at, s.id AS site_id, s.name, s.city, s.region
  FROM ticket_queue q JOIN tickets t ON t.id = q.ticket_id JOIN sites s ON s.id = q.site_id
 WHERE q.ticket_id = ANY ($1)
"""
_INT, _BIGINT = 2**31, 2**63
EVIDENCE_COUNT = "SELECT count(*) FROM evidence_items WHERE ticket_id = $1"


@dataclass(frozen=True)
class CockpitQuery:
    """What a dispatcher asked for; `at` is the instant at which the SLA is judged, if fixed."""

    filter: BoardFilter
    statuses: tuple[SlaStatus, ...]
    ticket_id: UUID | None
    limit: int
    after: Position | None
    at: datetime | None


class Cockpit:
    """Reads the cockpit."""

    def __init__(self, pool: Pool, bundle: Bundle) -> None:
        self._pool = pool
        self._bundle = bundle
        self._actions = {
            (role, state): _action_texts(bundle, role, state)
            for role in bundle.tools["dispatcher.cockpit"].roles
            for state in State
        }

    async def read(self, request: ReadRequest) -> dict[str, Any]:
        """Return the answer of dispatcher.cockpit."""
        actor = request.actor
        query = cockpit_query(request.query, actor)
        async with reading(self._pool, actor) as conn:
            at = query.at or truncate_to_milliseconds(await conn.fetchval(NOW))
            selected = await self._selected(conn, actor, query.ticket_id, at)
            _refuse_empty_scope(actor)
            board = Board(conn, self._bundle, query.filter, at)
            spans = spans_of(self._bundle, query.statuses)
            rows = await board.page(spans, query.after, query.limit + 1)
            page = rows[: query.limit]
            found = await conn.fetch(DETAILS, [row.position.ticket_id for row in page])
        details = {row["ticket_id"]: dict(row) for row in found}
        cursor = _cursor(page[-1].position, at) if len(rows) > query.limit else None
        return {
            "generated_at": format_datetime(at),
            "actor": actor_shape(actor, request.tool),
            "filters_applied": _filters(query),
            "queue": [
                self._row(row, details[row.position.ticket_id], at, actor.actor_role)
                for row in page
            ],
            "selected_ticket": selected,
            "next_cursor": encoded(cursor),
        }

    async def _selected(
        self, conn: Connection, actor: Actor, ticket_id: UUID | None, at: datetime
    ) -> dict[str, Any] | None:
        if ticket_id is None:
            return None
        ticket, _, clock = await find_ticket(conn, ticket_id, with_clock=True)
        _refuse_empty_scope(actor)
        if scope_denial(actor, ticket.account_id, ticket.site_id) is not None:
            details = {"scope_field": "ticket_id", "target_id": str(ticket_id)}
            raise ApiError(Code.FORBIDDEN_SCOPE, details=details)
        return {
            "ticket": ticket_shape(self._bundle, ticket, at, clock),
            "sla": None if clock is None else sla_shape(self._bundle, ticket, at, clock),
            "timeline": {
                "ticket_id": str(ticket_id),
                "events": await timeline_events(conn, ticket_id),
            },
            "evidence_summary": {"total_items": await conn.fetchval(EVIDENCE_COUNT, ticket_id)},
        }

    def _row(
        self, row: BoardRow, detail: Mapping[str, Any], at: datetime, role: Role
    ) -> dict[str, Any]:
        ticket_id = str(row.position.ticket_id).encode()
        actions, more = (
            orjson.Fragment(text.replace(TICKET_ID.encode(), ticket_id))
            for text in self._actions[role, State(row.state)]
        )
        offered = {"actions": actions, "more_actions": more}
        return board_row(self._bundle, row, detail, at, offered)


def cockpit_query(query: Query, actor: Actor) -> CockpitQuery:
    """Return the query understood, the actor's scope being a filter; or raise its 400."""
    position = query.cursor()
    after, at = (None, None) if position is None else _position(position)
    return CockpitQuery(
        filter=BoardFilter(
            states=query.choices("state", State) or OPEN_STATES,
            priorities=query.choices("priority", Priority),
            account_ids=_within(query.uuids("account_id"), actor.account_ids),
            site_ids=_within(query.uuids("site_id"), actor.site_ids),
            assigned_tech_ids=query.uuids("assigned_tech_id"),
            incident_types=query.words("incident_type"),
        ),
        statuses=query.choices("sla_status", SlaStatus),
        ticket_id=query.ticket_id(),
        limit=query.limit(DEFAULT_LIMIT),
        after=after,
        at=at,
    )


def _within(wanted: Sequence[UUID], scope: frozenset[UUID] | None) -> tuple[UUID, ...] | None:
    """Return the ids to look for: those wanted, all of the scope, or None for all there are."""
    if scope is None:
        return tuple(wanted) or None
    return tuple(each for each in wanted if each in scope) if wanted else tuple(sorted(scope))


def _refuse_empty_scope(actor: Actor) -> None:
    for field, ids in (("account_id", actor.account_ids), ("site_id", actor.site_ids)):
        if ids is not None and not ids:
            raise ApiError(Code.FORBIDDEN_SCOPE, details={"scope_field": field})


def _cursor(position: Position, at: datetime) -> dict[str, Any]:
    return {"at": at.isoformat(), "after": [*position[:-1], str(position.ticket_id)]}


def _position(cursor: Mapping[str, Any]) -> tuple[Position, datetime]:
    return read("cursor", _parse_position, cursor), read("cursor", parse_datetime, cursor.get("at"))


def _parse_position(cursor: Any) -> Position:  # noqa: ANN401  any JSON value
    *numbers, ticket_id = cursor["after"]
    if not all(type(number) is int for number in numbers):
        raise ValueError("not whole numbers")
    minute, rank, weight, newest_first = numbers
    fits = abs(weight) < _INT and max(abs(minute), abs(newest_first)) < _BIGINT
    if not fits or not 0 <= rank < len(Priority):
        raise ValueError("no such position")
    return Position(minute, rank, weight, newest_first, parse_uuid(ticket_id))


def _filters(query: CockpitQuery) -> dict[str, Any]:
    wanted = query.filter
    return {
        "state": _texts(wanted.states),
        "priority": _texts(wanted.priorities),
        "sla_status": _texts(query.statuses),
        "account_id": _texts(wanted.account_ids or ()),
        "site_id": _texts(wanted.site_ids or ()),
        "assigned_tech_id": _texts(wanted.assigned_tech_ids),
        "incident_type": [word.upper() for word in wanted.incident_types],
        "ticket_id": identifier(query.ticket_id),
    }


def _texts(values: Iterable[object]) -> list[str]:
    return [str(value) for value in values]


def _action_texts(bundle: Bundle, role: Role, state: State) -> tuple[bytes, bytes]:
    """Return the JSON of the actions and of the further ones, TICKET_ID standing for the id."""
    situation = Situation(role, state)
    return (
        orjson.dumps(actions_of(bundle, COCKPIT_ACTIONS, situation)),
        orjson.dumps(actions_of(bundle, COCKPIT_MORE_ACTIONS, situation)),
    )
