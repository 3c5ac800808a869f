"""How answers look in a terminal: a ticket as a card, lists as tables, the rest by its keys."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from types import MappingProxyType
from typing import Any

import orjson
from rich.console import Group, RenderableType
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from policy.local_time import duration_text, place_of, window_text

Document = Mapping[str, Any]
URGENT = {"breach": "bold red", "warning": "yellow", "healthy": "green"}
ID_COLUMNS = frozenset({"ticket", "technician"})
UUID_WIDTH = 36
TICKET_FACTS = (
    "id",
    "summary",
    "priority",
    "incident_type",
    "scheduled_start",
    "scheduled_end",
    "assigned_tech_id",
    "customer_name",
    "customer_phone",
    "customer_email",
    "account_id",
    "site_id",
    "nte_cents",
    "sla_problems",
    "updated_at",
)


def card(tool: str, data: Document) -> RenderableType:
    """Return the answer of `tool` for people."""
    if tool in CARDS:
        return CARDS[tool](data)
    ticket = data if _is_ticket(data) else data.get("ticket")
    if not isinstance(ticket, Mapping):
        return facts(data)
    rest = {} if ticket is data else {key: data[key] for key in data if key != "ticket"}
    return Group(ticket_card(ticket), *([facts(rest)] if rest else []))


def ticket_card(ticket: Document) -> RenderableType:
    """Return a ticket: what a dispatcher asks first, without what is empty."""
    shown = {name: ticket.get(name) for name in TICKET_FACTS if ticket.get(name)}
    title = f"{ticket['state']} v{ticket['version']}, escalation {ticket['escalation_level']}"
    return Panel(facts(shown), title=title, title_align="left", expand=False)


def timeline(data: Document) -> RenderableType:
    """Return what happened, oldest first."""
    rows = (
        (
            event["seq"],
            event["created_at"],
            event["tool_name"],
            f"{event['actor_role'] or '-'} {event['actor_id']}",
            f"{event['before_state'] or '-'} > {event['after_state'] or '-'}",
        )
        for event in data["events"]
    )
    return _paged(data, table(("seq", "at", "tool", "actor", "state"), rows))


def evidence(data: Document) -> RenderableType:
    """Return the evidence, oldest first."""
    rows = (
        (
            item["created_at"],
            item["kind"],
            item["metadata"].get("evidence_key"),
            "sealed" if item["is_immutable"] else "",
            item["uri"],
        )
        for item in data["evidence"]
    )
    return _paged(data, table(("at", "kind", "evidence key", "", "uri"), rows))


def cockpit(data: Document) -> RenderableType:
    """Return the queue, most urgent first, with what can be done about each ticket."""
    rows = (
        (
            row["ticket_id"],
            _time_left(row),
            row["priority"],
            row["state"],
            row["incident_type"],
            row["site"]["name"],
            ", ".join(
                action["action_id"]
                for action in row["actions"]
                if action["enabled"] and action["mutating"]
            ),
        )
        for row in data["queue"]
    )
    columns = ("ticket", "SLA", "priority", "state", "incident", "site", "possible now")
    parts: list[RenderableType] = [table(columns, rows)]
    selected = data.get("selected_ticket")
    if selected is not None:
        parts += [ticket_card(selected["ticket"]), timeline(selected["timeline"])]
    return _paged(data, Group(*parts))


def _time_left(row: Document) -> Text:
    """Return what gives a ticket its place: what is left, of its promise where that is more."""
    promise = row.get("sla_promise")
    if promise is None:
        left = duration_text(row["sla_timer_remaining_minutes"])
        return Text(left, URGENT[row["sla_status"]])
    return Text(duration_text(promise["remaining_minutes"]), URGENT[promise["status"]])


def job_packet(data: Document) -> RenderableType:
    """Return what a technician needs on site."""
    packet = data["packet"]
    site = packet["site_and_access"]
    address = ", ".join(str(part) for part in site["address"].values() if part)
    needed = packet["evidence_requirements"]["required_evidence"]
    checked = packet["checklist"]["required_items"]
    done = [(each["key"], "evidence", _mark(present=each["present"])) for each in needed]
    done += [(each["key"], "checklist", _mark(present=each["checked"])) for each in checked]
    enabled = [each["action_id"] for each in packet["actions"] if each["enabled"]]
    access = {
        "site": site["site_name"],
        "address": address,
        "access": site["access_instructions"],
        "contact": site["onsite_contact"],
        "possible now": ", ".join(enabled),
    }
    header = {**packet["header"], "scheduled_window": _window(packet)}
    return Group(
        facts({**header, **packet["work_scope"], **access}),
        table(("required", "by", "done"), done),
    )


def _window(packet: Document) -> str | None:
    """Return when the visit is, by the clocks of its site."""
    site, window = packet["site_and_access"], packet["header"]["scheduled_window"]
    if not window["start"] or not window["end"]:
        return None
    start, end = (datetime.fromisoformat(window[each]) for each in ("start", "end"))
    return window_text(start, end, place_of(site["timezone"], site["address"]["country"]))


def recommendation(data: Document) -> RenderableType:
    """Return the technicians, best first, and why the others are out."""
    named = (
        (
            each["tech_id"],
            each["tech_name"],
            each["score"],
            each["matches"]["active_load"],
            each["matches"]["available"],
        )
        for each in data["recommendations"]
    )
    out = ((each["tech_name"], ", ".join(each["reasons"])) for each in data["excluded"])
    parts: list[RenderableType] = [
        table(("technician", "name", "score", "load", "available"), named),
        facts({"snapshot_id": data["snapshot_id"]}),
    ]
    return Group(*parts, *([table(("excluded", "because"), out)] if data["excluded"] else []))


def facts(document: Document) -> RenderableType:
    """Return keys and values, one a line; what is nested as JSON."""
    grid = Table.grid(padding=(0, 2))
    for name, value in document.items():
        grid.add_row(Text(str(name), "dim"), _cell(value))
    return grid


def table(columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> Table:
    """Return a table; nothing is cut off, and ids stay in one piece to be copied."""
    made = Table(header_style="bold")
    for name in columns:
        width = UUID_WIDTH if name in ID_COLUMNS else None
        made.add_column(name, overflow="fold", min_width=width)
    for row in rows:
        made.add_row(*map(_cell, row))
    return made


def _paged(data: Document, shown: RenderableType) -> RenderableType:
    cursor = data.get("next_cursor")
    return Group(shown, f"more: --cursor {cursor}") if cursor else shown


def _cell(value: Any) -> Text:  # noqa: ANN401  any JSON value
    match value:
        case Text():
            return value
        case None:
            return Text("-", "dim")
        case str():
            return Text(value)
        case bool() | int() | float():
            return Text(str(value).lower())
        case _:
            return Text(orjson.dumps(value).decode())


def _mark(*, present: bool) -> Text:
    return Text("yes", "green") if present else Text("missing", "bold red")


def _is_ticket(data: Document) -> bool:
    return {"state", "version", "escalation_level"} <= data.keys()


CARDS: Mapping[str, Callable[[Document], RenderableType]] = MappingProxyType(
    {
        "ticket.timeline": timeline,
        "closeout.list_evidence": evidence,
        "dispatcher.cockpit": cockpit,
        "tech.job_packet": job_packet,
        "assignment.recommend": recommendation,
    }
)
