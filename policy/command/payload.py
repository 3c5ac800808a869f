"""Payload validation: a parsed body becomes the tool's payload, or one 400 (contract 3.1)."""

from collections.abc import Collection
from typing import Any

from pydantic import ValidationError

from policy.codes import Code
from policy.command.effects import Denial
from policy.command.registry import command_tool
from policy.rules.bundle import Bundle
from policy.values import PayloadModel


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
        nul = nul_pointer(body)
        if nul is not None:
            return invalid_request(tool, [(nul, "must not contain U+0000")])
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
    """Return 400 INVALID_REQUEST; `faults` are (JSON pointer, message) pairs."""
    errors = [{"path": path, "message": message} for path, message in faults]
    return Denial(
        code=Code.INVALID_REQUEST,
        details={"tool_name": tool, "validation_errors": errors, **extras},
    )


def _without_nulls(body: dict[str, Any], known: Collection[str]) -> dict[str, Any]:
    """Return `body` without null fields, which count as missing; an extra key stays one."""
    return {
        name: member for name, member in body.items() if member is not None or name not in known
    }


def _faults(error: ValidationError) -> list[tuple[str, str]]:
    return [(pointer(*fault["loc"]), _message(fault["msg"])) for fault in error.errors()]


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


def nul_pointer(value: Any, path: str = "") -> str | None:  # noqa: ANN401  any JSON value
    """Return the JSON pointer of the first string that contains U+0000, or None."""
    match value:
        case str():
            return path if "\0" in value else None
        case dict():
            for name, member in value.items():
                here = path + pointer(name.replace("\0", "\ufffd"))
                found = here if "\0" in name else nul_pointer(member, here)
                if found is not None:
                    return found
        case list():
            for index, member in enumerate(value):
                found = nul_pointer(member, path + pointer(index))
                if found is not None:
                    return found
    return None
