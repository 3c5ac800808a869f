"""Messages: what is no single JSON-RPC 2.0 message is told so, before the protocol's library."""

from collections.abc import Mapping
from typing import Any

from mcp.types import INVALID_PARAMS, INVALID_REQUEST, PARSE_ERROR

NOTIFICATIONS = "notifications/"


def fault_of(message: Any) -> dict[str, Any] | None:  # noqa: ANN401  any JSON value
    """Return the JSON-RPC error that answers a message, or None for one to be served.

    The library takes an id that is none for no id: a notification, which nobody answers.
    """
    if not isinstance(message, dict):
        one = "a message is an object, and batches are not served: send one message at a time"
        return rpc_error(INVALID_REQUEST, one)
    asked = message.get("id")
    known = asked if _is_id(asked) else None
    said = _request_fault(message, known=known is not None)
    if said is not None:
        return rpc_error(INVALID_REQUEST, said, known)
    if not isinstance(message.get("params", {}), dict):
        return rpc_error(INVALID_PARAMS, "params must be an object", known)
    return None


def _request_fault(message: Mapping[str, Any], *, known: bool) -> str | None:
    """Return what keeps an object from being a request, a notification or an answer."""
    if message.get("jsonrpc") != "2.0":
        return 'jsonrpc must be "2.0"'
    if "method" not in message:
        return None if "result" in message or "error" in message else "method is missing"
    if not isinstance(message["method"], str):
        return "method must be a string"
    if "id" in message:
        return None if known else "id must be a string or an integer"
    told = message["method"].startswith(NOTIFICATIONS)
    return None if told else "id is missing: without it nobody could be answered"


def no_json() -> dict[str, Any]:
    """Return the JSON-RPC error that answers what is not JSON at all."""
    return rpc_error(PARSE_ERROR, "the body is not JSON")


def rpc_error(code: int, message: str, about: str | int | None = None) -> dict[str, Any]:
    """Return a JSON-RPC error; `about` is the id of the request, null where none is known."""
    return {"jsonrpc": "2.0", "id": about, "error": {"code": code, "message": message}}


def _is_id(value: object) -> bool:
    return isinstance(value, str | int) and not isinstance(value, bool)
