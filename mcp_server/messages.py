"""Messages: what is no single JSON-RPC 2.0 message is told so, before the protocol's library."""

from typing import Any

from mcp.types import INVALID_PARAMS, INVALID_REQUEST, PARSE_ERROR

NOTIFICATIONS = "notifications/"


def fault_of(message: Any) -> dict[str, Any] | None:  # noqa: ANN401  any JSON value
    """Return the JSON-RPC error that answers a message, or None for one to be served.

    The library takes an id that is none for no id: a notification, which nobody answers.
    """
    if isinstance(message, list):
        return rpc_error(INVALID_REQUEST, "batches are not served: send one message at a time")
    if not isinstance(message, dict):
        return rpc_error(INVALID_REQUEST, "a message is an object")
    asked = message.get("id")
    known = asked if _is_id(asked) else None
    if message.get("jsonrpc") != "2.0":
        return rpc_error(INVALID_REQUEST, 'jsonrpc must be "2.0"', known)
    if "method" not in message:
        answers = "result" in message or "error" in message
        return None if answers else rpc_error(INVALID_REQUEST, "method is missing", known)
    method = message["method"]
    if not isinstance(method, str):
        return rpc_error(INVALID_REQUEST, "method must be a string", known)
    if "id" not in message and not method.startswith(NOTIFICATIONS):
        return rpc_error(INVALID_REQUEST, "id is missing: without it nobody could be answered")
    if "id" in message and known is None:
        return rpc_error(INVALID_REQUEST, "id must be a string or an integer")
    if not isinstance(message.get("params", {}), dict):
        return rpc_error(INVALID_PARAMS, "params must be an object", known)
    return None


def no_json() -> dict[str, Any]:
    """Return the JSON-RPC error that answers what is not JSON at all."""
    return rpc_error(PARSE_ERROR, "the body is not JSON")


def rpc_error(code: int, message: str, about: str | int | None = None) -> dict[str, Any]:
    """Return a JSON-RPC error; `about` is the id of the request, null where none is known."""
    return {"jsonrpc": "2.0", "id": about, "error": {"code": code, "message": message}}


def _is_id(value: object) -> bool:
    return isinstance(value, str | int) and not isinstance(value, bool)
