"""Calls: an MCP tool call becomes a call of the gateway's `POST /tools/{name}`."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Any

import httpx
from mcp import types

from mcp_server.answers import Say, refusal, result_of, unreachable
from mcp_server.arguments import argument_error
from mcp_server.catalog import catalog
from mcp_server.keys import caller_of, derived_request_id, role_of
from mcp_server.tool_names import within
from policy.codes import CODES, Code
from policy.command.registry import alias
from policy.model import Role
from policy.reads.guide import load_guide
from policy.rules.bundle import Bundle, ToolRule

WAIT = "wait=25"
_NAME = re.compile(r"\w[\w.-]{0,127}", re.ASCII)


@dataclass(frozen=True)
class Call:
    """What goes to the gateway. `derived`: the key was made from the call, not by the client.

    `header_key` is the key of the Idempotency-Key header, where the client chose that way.
    """

    body: Mapping[str, Any]
    header_key: str | None
    derived: bool = False

    @property
    def request_id(self) -> str | None:
        """The idempotency key."""
        key = self.body.get("request_id")
        return self.header_key if key is None else str(key)


class ToolCalls:
    """Passes calls on; `client` reaches the gateway, which alone judges them."""

    def __init__(self, bundle: Bundle, client: httpx.AsyncClient) -> None:
        self._bundle = bundle
        self._tools = {alias(name): (name, rule) for name, rule in bundle.tools.items()}
        self._schemas = {name: tool.input_schema for name, tool in catalog(bundle).items()}
        self._client = client

    async def call(
        self, name: str, arguments: Mapping[str, Any], headers: Mapping[str, str]
    ) -> types.CallToolResult:
        """Return what the gateway says to one call; `headers` go with it as they came."""
        sent = httpx.Headers(headers)
        role = role_of(sent, self._bundle.role_aliases)
        say = partial(within, role=role, bundle=self._bundle)
        if _NAME.fullmatch(name) is None:
            return _refused(Code.UNKNOWN_TOOL, say)
        fault = self._fault(name, role, arguments)
        if fault is not None:
            return _refused(Code.INVALID_REQUEST, say, details=fault)
        sent.setdefault("prefer", WAIT)
        call = self._call(name, arguments, sent)
        try:
            content = json.dumps(call.body).encode()
        except RecursionError:
            return _refused(Code.INVALID_JSON, say, call.request_id)
        try:
            answer = await self._client.post(f"/tools/{name}", content=content, headers=sent)
        except httpx.TransportError as error:
            return unreachable(call.request_id, str(error) or type(error).__name__)
        return result_of(answer, call.request_id, say, derived=call.derived)

    def _fault(
        self, name: str, role: Role | None, arguments: Mapping[str, Any]
    ) -> dict[str, Any] | None:
        tool, rule = self._tools.get(alias(name), (name, None))
        if rule is None or role not in rule.roles:
            return None  # what the gateway refuses anyway, and records
        return argument_error(self._bundle, tool, rule, self._schemas[alias(name)], arguments)

    def _call(self, name: str, arguments: Mapping[str, Any], headers: Mapping[str, str]) -> Call:
        chosen = headers.get("idempotency-key", "").strip() or None
        if alias(name) not in self._tools:
            return Call({"payload": dict(arguments)}, chosen)
        tool, rule = self._tools[alias(name)]
        body = _body(rule, arguments)
        repeat = load_guide().tools[tool].repeat
        if repeat is None or chosen is not None or body.get("request_id") is not None:
            return Call(body, chosen)
        said = {"ticket_id": str(body.get("ticket_id")).lower(), "payload": body["payload"]}
        key = derived_request_id(caller_of(headers), tool, repeat, said, datetime.now(UTC))
        return Call({**body, "request_id": str(key)}, None, derived=True)


def _body(rule: ToolRule, arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Return the arguments as the body of a tool call: what is no payload stands beside it."""
    names = {"request_id"} if rule.mutating else set()
    if rule.requires_ticket_id:
        names.add("ticket_id")
    beside = {name: value for name, value in arguments.items() if name in names}
    payload = {name: value for name, value in arguments.items() if name not in names}
    return {**beside, "payload": payload}


def _refused(
    code: Code,
    say: Say,
    request_id: str | None = None,
    details: Mapping[str, Any] | None = None,
) -> types.CallToolResult:
    spec = CODES[code]
    error: dict[str, Any] = {"code": code.value, "message": spec.message, **(details or {})}
    if spec.dimension is not None:
        error["policy_error"] = {"dimension": spec.dimension}
    return refusal(spec.status, error, request_id, say)
