"""The OpenAPI document, made from the tool registry, the guide and the error codes."""

from typing import Any

from api.openapi.parts import (
    IDENTITY,
    JSON,
    SECURITY,
    accepted,
    answer,
    components,
    error_codes,
    errors,
    header_parameters,
    path_parameter,
)
from api.openapi.shapes import TYPES, answer_schema, shape_schemas
from api.openapi.supporting import supporting_operations
from api.openapi.words import load_words
from api.reads.surface import CONTRACT_VERSION
from policy.codes import Code
from policy.command.registry import alias
from policy.reads.guide import described_schema, load_guide
from policy.reads.parameters import PARAMETERS
from policy.rules.bundle import Bundle, ToolRule

DESCRIPTION = """
Field-service tickets from intake to closure. Every write is a tool: judged by policy, recorded
whether allowed or not, applied one at a time per ticket.

* Send a fresh UUID as `Idempotency-Key` with every command, and the same key with the same body to
  retry: it takes effect once, and the answer is repeated with `Idempotency-Replayed: true`.
* 202 means accepted and still running: follow `Location`, or repeat the call under its key.
* Decide on `error.code`, never on `error.message`. The example of each error says what to do next.
* `dispatch token --role dispatcher` mints a token to try things with.
"""
READ = (*IDENTITY, Code.TOOL_NOT_ALLOWED, Code.DATABASE_UNAVAILABLE)
COMMAND = (
    *READ,
    Code.PAYLOAD_TOO_LARGE,
    Code.INVALID_JSON,
    Code.MISSING_IDEMPOTENCY_KEY,
    Code.INVALID_IDEMPOTENCY_KEY,
    Code.IDEMPOTENCY_PAYLOAD_MISMATCH,
    Code.INVALID_REQUEST,
    Code.ENGINE_UNAVAILABLE,
)
TICKET = (Code.TICKET_NOT_FOUND, Code.FORBIDDEN_SCOPE)
BY_NAME = (Code.UNKNOWN_TOOL, Code.TOOL_ROLE_FORBIDDEN, Code.INVALID_TICKET_ID)


def openapi_document(bundle: Bundle) -> dict[str, Any]:
    """Return the document."""
    paths: dict[str, dict[str, Any]] = {}
    for name, rule in bundle.tools.items():
        paths.setdefault(rule.route, {})[rule.method.lower()] = _tool(bundle, name, rule)
    for path, method, operation in supporting_operations((*COMMAND, *TICKET, *BY_NAME)):
        said = load_words().operations[f"{method.upper()} {path}"]
        paths.setdefault(path, {})[method] = {**operation, "description": said}
    tags = dict.fromkeys(_tag(name, rule) for name, rule in bundle.tools.items())
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Real Dispatch",
            "version": CONTRACT_VERSION,
            "description": DESCRIPTION,
        },
        "servers": [{"url": "/"}],
        "tags": [{"name": tag} for tag in tags],
        "paths": paths,
        "components": {"schemas": shape_schemas(), **components()},
    }


def tool_codes(bundle: Bundle, name: str) -> list[Code]:
    """Return every code that a tool can answer, in the order of the contract."""
    rule = bundle.tools[name]
    codes = {*(COMMAND if rule.mutating else READ), *map(Code, load_guide().tools[name].codes)}
    if rule.requires_ticket_id:
        codes |= {*TICKET, Code.NOT_FOUND if rule.mutating else Code.INVALID_TICKET_ID}
    if rule.from_states and Code.SCHEDULE_HOLD_STATE_CONFLICT not in codes:
        codes.add(Code.INVALID_STATE_TRANSITION)
    if rule.creates_ticket:
        codes.add(Code.FORBIDDEN_SCOPE)
    return [code for code in Code if code in codes]


def _tool(bundle: Bundle, name: str, rule: ToolRule) -> dict[str, Any]:
    words = load_guide().tools[name]
    codes = tool_codes(bundle, name)
    operation = {
        "operationId": alias(name),
        "tags": [_tag(name, rule)],
        "summary": words.title,
        "description": "\n\n".join(_description(name, rule)),
        "parameters": [
            *(path_parameter(each, TYPES["uuid"]) for each in rule.path_parameters),
            *_query(name),
            *header_parameters(command=rule.mutating),
        ],
        "responses": {
            str(rule.success_status): answer(answer_schema(name)),
            **(accepted() if rule.mutating else {}),
            **errors(codes),
        },
        "security": SECURITY,
        "x-tool": {
            "name": name,
            "roles": rule.roles,
            "from_states": rule.from_states,
            "result_state": rule.result_state,
        },
        "x-error-codes": error_codes(codes),
    }
    if rule.mutating:
        content = {"schema": described_schema(name, rule), "example": words.example}
        operation["requestBody"] = {"required": True, "content": {JSON: content}}
    return operation


def _description(name: str, rule: ToolRule) -> list[str]:
    words = load_guide().tools[name]
    paragraphs = [words.does, f"Next: {words.next}", f"Roles: {', '.join(rule.roles)}."]
    if rule.from_states:
        paragraphs.append(f"From: {', '.join(rule.from_states)}.")
    return paragraphs


def _query(name: str) -> list[dict[str, Any]]:
    example = load_guide().tools[name].example
    return [
        {
            "name": each.name,
            "in": "query",
            "description": each.description,
            "schema": {"type": "array", "items": each.schema} if each.repeatable else each.schema,
            **({"example": example[each.name]} if each.name in example else {}),
        }
        for each in PARAMETERS.get(name, ())
    ]


def _tag(name: str, rule: ToolRule) -> str:
    """Return the noun of a tool; two have none in their names."""
    noun, dot, _ = name.partition(".")
    if dot:
        return noun
    return "closeout" if rule.requires_ticket_id else "supporting"
