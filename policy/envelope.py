"""The one shape of every error answer (contract 8.1)."""

from collections.abc import Mapping
from types import MappingProxyType

from policy.codes import CODES, Code

_RESERVED = frozenset({"code", "message", "request_id", "correlation_id", "policy_error"})


def policy_error(
    code: Code, details: Mapping[str, object], dimension: str | None = None
) -> dict[str, object] | None:
    """Return the `policy_error` of `code`, or None; `dimension` overrides the code's own."""
    named = dimension or CODES[code].dimension
    if named is None:
        return None
    if code is Code.CLOSEOUT_REQUIREMENTS_INCOMPLETE:
        return {"dimension": named, "requirement_code": details.get("requirement_code")}
    return {"dimension": named}


def error_body(  # noqa: PLR0913  one argument per field of the envelope
    code: Code,
    *,
    message: str | None = None,
    request_id: str | None = None,
    details: Mapping[str, object] = MappingProxyType({}),
    correlation_id: str | None = None,
    policy_error: Mapping[str, object] | None = None,
) -> dict[str, object]:
    """Return the envelope, keys in the contract's order; details never overwrite its own fields.

    No message takes the code's own; no correlation id (the unmatched route) leaves the field out.
    """
    error: dict[str, object] = {
        "code": code.value,
        "message": message or CODES[code].message,
        "request_id": request_id,
    }
    error.update((name, value) for name, value in details.items() if name not in _RESERVED)
    if correlation_id is not None:
        error["correlation_id"] = correlation_id
    if policy_error is not None:
        error["policy_error"] = dict(policy_error)
    return {"error": error}
