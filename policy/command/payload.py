"""Payload validation: a parsed body becomes the tool's payload, or one 400 (contract 3.1)."""

from collections.abc import Collection, Iterable, Sequence
from typing import Any

import orjson
from pydantic import ValidationError

from policy.codes import Code
from policy.command.effects import Denial
from policy.command.registry import command_tool
from policy.rules.bundle import Bundle
from policy.sensitive import MOST_SENSITIVE, SENSITIVE, has_too_many
from policy.values import PayloadModel

MOST_FAULTS = 20


def parse_payload(
    bundle: Bundle,
    tool: str,
    body: Any,  # noqa: ANN401  any JSON value
) -> PayloadModel | Denial:
    """Return the validated payload of `tool`, or the denial that names every fault."""
    rules = command_tool(tool)
    try:
        if not isinstance(body, dict):
            return invalid_request(tool, [("", "must be an object")])
        fault = content_fault(body)
        if fault is not None:
            return invalid_request(tool, [fault])
        payload: PayloadModel = rules.payload.model_validate(
            _without_nulls(body, rules.payload.model_fields)
        )
    except ValidationError as error:
        return invalid_request(tool, _faults(error), **_extras(error))
    return rules.check(bundle, payload) or payload


def invalid_request(
    tool: str,
    faults: list[tuple[str, str]],
    **extras: Any,  # noqa: ANN401  any JSON value
) -> Denial:
    """Return 400 INVALID_REQUEST; `faults` are (JSON pointer, message) pairs.

    It names the first of them, and says how many there are.
    """
    details = {"tool_name": tool, **named_faults(faults), **extras}
    return Denial(code=Code.INVALID_REQUEST, details=details)


def named_faults(faults: Sequence[tuple[str, str]]) -> dict[str, Any]:
    """Return the fields that tell of faults; an answer does not grow with what was sent."""
    named = [{"path": path, "message": message} for path, message in faults[:MOST_FAULTS]]
    return {"validation_errors": named, "validation_error_count": len(faults)}


def _without_nulls(body: dict[str, Any], known: Collection[str]) -> dict[str, Any]:
    """Return `body` without null fields, which count as missing; an extra key stays one."""
    return {
        name: member for name, member in body.items() if member is not None or name not in known
    }


def _faults(error: ValidationError) -> list[tuple[str, str]]:
    told = error.errors(include_url=False, include_input=False, include_context=False)
    return [(pointer(*fault["loc"]), _message(fault["msg"])) for fault in told]


def _extras(error: ValidationError) -> dict[str, Any]:
    """Return the extra fields some tools add: a validator puts them into its error's context."""
    extras: dict[str, Any] = {}
    for fault in error.errors():
        extras = {**fault.get("ctx", {}).get("extras", {}), **extras}
    return extras


def _message(text: str) -> str:
    return text.removeprefix("Value error, ")


def pointer(*steps: int | str) -> str:
    """Return the JSON pointer (RFC 6901) of a path."""
    return "".join("/" + str(step).replace("~", "~0").replace("/", "~1") for step in steps)


def content_fault(value: Any) -> tuple[str, str] | None:  # noqa: ANN401  any JSON value
    """Return what no body may hold whatever it is for, with its pointer.

    The text of the whole value clears almost every one, much faster than a walk.
    """
    text = orjson.dumps(value)
    way = _way_to_nul(value) if b"\\u0000" in text else None
    if way is not None:
        return pointer(*way).replace("\0", "\ufffd"), "must not contain U+0000"
    if has_too_many(value):
        few = f"must have at most {MOST_SENSITIVE} values with names such as {SENSITIVE[0]}"
        return "", few
    return None


def _way_to_nul(value: Any) -> tuple[int | str, ...] | None:  # noqa: ANN401  any JSON value
    """Return the steps to the first string that contains U+0000; they are put together once."""
    match value:
        case str():
            return () if "\0" in value else None
        case dict():
            children: Iterable[tuple[int | str, Any]] = value.items()
        case list():
            children = enumerate(value)
        case _:
            return None
    for step, member in children:
        if isinstance(step, str) and "\0" in step:
            return (step,)
        rest = _way_to_nul(member)
        if rest is not None:
            return (step, *rest)
    return None
