"""The tool surface: what clients may call, and whether it is what they were built for (11)."""

from collections.abc import Mapping
from typing import Any

from api.ops.health import Health
from api.reads.tools import ReadRequest
from policy.command.registry import alias
from policy.model import Role
from policy.reads.parameters import query_schema
from policy.reads.schemas import payload_schemas
from policy.rules.bundle import Bundle
from policy.values import format_datetime

READERS = tuple(role for role in Role if role is not Role.SYSTEM)

CONTRACT_VERSION = "1.0.0"
DIALECT = "https://json-schema.org/draft/2020-12/schema"


class ToolSurface:
    """The closed toolset as it is published."""

    def __init__(self, bundle: Bundle, health: Health) -> None:
        self._bundle = bundle
        self._health = health
        self._tools = [_tool(bundle, name, schema) for name, schema in _schemas(bundle).items()]
        self._names = {alias(name): name for name in bundle.tools}

    def name_of(self, word: str) -> str | None:
        """Return the tool that a dotted or underscored word names."""
        return word if word in self._bundle.tools else self._names.get(word)

    def listing(self) -> dict[str, Any]:
        """Return the answer of GET /tools."""
        return {**self._versions(), "tools": self._tools}

    async def status(self, _: ReadRequest) -> dict[str, Any]:
        """Return the answer of dispatch_contract_status."""
        report = await self._health.report()
        return {
            **self._versions(),
            "tool_count": len(self._tools),
            "health": {
                "status": report.status,
                "generated_at": format_datetime(report.at),
                "failures": report.failures,
            },
        }

    def _versions(self) -> dict[str, Any]:
        return {
            "contract_version": CONTRACT_VERSION,
            "surface_hash": self._bundle.surface_hash,
            "policy_bundle_version": self._bundle.version,
            "policy_bundle_sha256": self._bundle.sha256,
        }


def _schemas(bundle: Bundle) -> Mapping[str, dict[str, Any]]:
    """Return the JSON Schema of every tool's payload, a read's being its query."""
    commands = payload_schemas(bundle.commands)
    return {name: commands.get(name) or query_schema(name) for name in bundle.tools}


def _tool(bundle: Bundle, name: str, schema: Mapping[str, Any]) -> dict[str, Any]:
    rule = bundle.tools[name]
    states = rule.from_states
    return {
        "name": name,
        "alias": alias(name),
        "method": rule.method,
        "route": rule.route,
        "mutating": rule.mutating,
        "requires_ticket_id": rule.requires_ticket_id,
        "roles": [role.value for role in rule.roles],
        "from_states": None if states is None else [state.value for state in states],
        "result_state": None if rule.result_state is None else rule.result_state.value,
        "success_status": rule.success_status,
        "payload_schema": {"$schema": DIALECT, **schema},
    }
