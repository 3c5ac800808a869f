"""The queries of the read tools: the parameters of each, with their JSON Schema (contract 10)."""

from collections.abc import Mapping
from typing import NamedTuple

from policy.deadlines.sla import SlaStatus
from policy.model import Priority, State

PAGE_LIMIT = 1000
UUID_SCHEMA = {"type": "string", "format": "uuid"}


class Parameter(NamedTuple):
    """One query parameter: the JSON Schema of a value, and whether it may be a list."""

    name: str
    schema: Mapping[str, object]
    description: str
    repeatable: bool = False

    @property
    def json_schema(self) -> dict[str, object]:
        """The schema of the parameter as a member of a tool call's payload."""
        if self.repeatable:
            return {"type": "array", "items": self.schema, "description": self.description}
        return {**self.schema, "description": self.description}


def _filter(name: str, schema: Mapping[str, object], description: str) -> Parameter:
    return Parameter(name, schema, description, repeatable=True)


LIMIT = Parameter(
    "limit", {"type": "integer", "minimum": 1, "maximum": PAGE_LIMIT}, "The size of a page."
)
CURSOR = Parameter("cursor", {"type": "string"}, "next_cursor of the page before.")
PARAMETERS: Mapping[str, tuple[Parameter, ...]] = {
    "ticket.timeline": (LIMIT, CURSOR),
    "closeout.list_evidence": (LIMIT, CURSOR),
    "dispatcher.cockpit": (
        _filter("state", {"enum": list(State)}, "States in any case; default: all open ones."),
        _filter("priority", {"enum": list(Priority)}, "Priorities in any case."),
        _filter("sla_status", {"enum": list(SlaStatus)}, "How tickets stand against their SLA."),
        _filter("account_id", UUID_SCHEMA, "Accounts."),
        _filter("site_id", UUID_SCHEMA, "Sites."),
        _filter("assigned_tech_id", UUID_SCHEMA, "Assigned technicians."),
        _filter("incident_type", {"type": "string"}, "Incident types in any case."),
        Parameter("ticket_id", UUID_SCHEMA, "The ticket to show in full as selected_ticket."),
        LIMIT,
        CURSOR,
    ),
    "ops.autonomy.state": (
        Parameter("ticket_id", UUID_SCHEMA, "The ticket to decide for."),
        Parameter("incident_type", {"type": "string"}, "Replaces the ticket's incident type."),
    ),
}


def query_schema(tool: str) -> dict[str, object]:
    """Return the JSON Schema of a read tool's query."""
    members = {each.name: each.json_schema for each in PARAMETERS.get(tool, ())}
    return {"type": "object", "properties": members}
