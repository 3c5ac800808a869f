"""Answers: what the gateway said, as an agent can use it."""

import json
from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import Any

import httpx
from mcp import types

from policy.reads.guide import load_guide

REPLAYED = (
    "NOTHING WAS DONE BY THIS CALL: it equals an earlier one, whose answer this is. If you mean "
    "the action a second time, call again with a new UUID as request_id."
)
ACCEPTED = "Accepted; the outcome is not known yet. Repeat the call with this request_id to get it."
UNREACHABLE = (
    "The gateway gave no answer; the call may have taken effect. Repeat it with this request_id: "
    "it takes effect once."
)
UNKNOWN_CODE = "Read the message and the details; if they do not help, ask the operator."
# What a refusal always carries, told apart from what is special about it.
COMMON = frozenset({"code", "message", "request_id", "correlation_id", "policy_error"})


Say = Callable[[str], str]


def result_of(
    answer: httpx.Response, request_id: str | None, say: Say, *, derived: bool
) -> types.CallToolResult:
    """Return the result of a call. `derived`: the key was made from the call, not by the client."""
    body = _json(answer)
    replayed = "idempotency-replayed" in answer.headers
    meta = {
        "correlation_id": answer.headers.get("x-correlation-id"),
        "command_id": answer.headers.get("x-command-id"),
        "replayed": replayed,
    }
    if answer.is_error or "error" in body:
        error = body.get("error", {})
        return refusal(
            answer.status_code, error, request_id, say, meta=meta, headers=answer.headers
        )
    structured = {
        "status": answer.status_code,
        "tool_name": body.get("tool_name"),
        "request_id": request_id,
        "data": body.get("data", body),
    }
    notices = []
    if answer.status_code == HTTPStatus.ACCEPTED:
        structured["advice"] = ACCEPTED
    elif derived and replayed:
        notices = [REPLAYED]
    return _result([json.dumps(structured), *notices], _present(structured), meta)


def refusal(  # noqa: PLR0913  one argument for each part of an answer that differs
    status: int,
    error: Mapping[str, Any],
    request_id: str | None,
    say: Say,
    *,
    meta: Mapping[str, Any] | None = None,
    headers: Mapping[str, str] | None = None,
) -> types.CallToolResult:
    """Return an error: what is wrong, the facts, and what to do next, as `say` words it."""
    code = str(error.get("code", f"HTTP_{status}"))
    advice = say(load_guide().advice.get(code, UNKNOWN_CODE))
    dimension = (error.get("policy_error") or {}).get("dimension")
    head = f"{status} {code}{f' ({dimension})' if dimension else ''}: {error.get('message', '')}"
    facts = {name: value for name, value in error.items() if name not in COMMON}
    lines = [head, *(f"{name}: {json.dumps(value)}" for name, value in facts.items())]
    lines.append(f"What to do: {advice}")
    wait = (headers or {}).get("retry-after")
    if wait is not None:
        lines.append(f"Retry after {wait} s with request_id {request_id}.")
    structured = {
        "status": status,
        "request_id": request_id,
        "error": dict(error),
        "advice": advice,
    }
    return _result(["\n".join(lines)], structured, meta or {}, is_error=True)


def unreachable(request_id: str | None, reason: str) -> types.CallToolResult:
    """Return the result of a call that got no answer."""
    error = {"code": "GATEWAY_UNREACHABLE", "message": reason}
    structured = {"status": 0, "request_id": request_id, "error": error, "advice": UNREACHABLE}
    text = f"GATEWAY_UNREACHABLE: {reason}\nrequest_id: {request_id}\nWhat to do: {UNREACHABLE}"
    return _result([text], structured, {}, is_error=True)


def _result(
    texts: list[str],
    structured: Mapping[str, Any],
    meta: Mapping[str, Any],
    *,
    is_error: bool = False,
) -> types.CallToolResult:
    return types.CallToolResult(
        content=[types.TextContent(type="text", text=text) for text in texts],
        structured_content=dict(structured),
        is_error=is_error,
        _meta=dict(_present(meta)) or None,
    )


def _present(members: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in members.items() if value is not None}


def _json(answer: httpx.Response) -> dict[str, Any]:
    try:
        body = answer.json()
    except (ValueError, RecursionError):
        return {}
    return body if isinstance(body, dict) else {}
