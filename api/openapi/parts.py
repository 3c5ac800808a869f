"""Parts of the OpenAPI document that many operations share: headers, answers and errors."""

from collections.abc import Iterable, Mapping
from itertools import groupby
from typing import Any, NamedTuple

from api.openapi.shapes import TEXT, TYPES, reference
from api.openapi.words import load_words
from policy.codes import CODES, Code
from policy.envelope import error_body, policy_error
from policy.reads.guide import load_guide

EXAMPLE_ID = "0b1f6d3e-52a7-4c1d-9a58-6f0f7a4f2f10"
JSON = "application/json"
SECURITY: list[dict[str, list[str]]] = [{"bearer": []}, {"actorId": [], "actorRole": []}]
IDENTITY = (
    Code.AUTH_REQUIRED,
    Code.INVALID_AUTH_TOKEN,
    Code.INVALID_AUTH_CLAIMS,
    Code.AUTH_CONFIG_ERROR,
    Code.MISSING_ACTOR_CONTEXT,
    Code.INVALID_ACTOR_CONTEXT,
    Code.FORBIDDEN,
    Code.INTERNAL_ERROR,
)


class RequestHeader(NamedTuple):
    """A request header; those that only commands read have `command` set."""

    name: str
    description: str
    schema: Mapping[str, Any] = TEXT
    required: bool = False
    command: bool = False


REQUEST_HEADERS = {
    "IdempotencyKey": RequestHeader(
        "Idempotency-Key",
        "One per intention; repeat it to retry.",
        TYPES["uuid"],
        required=True,
        command=True,
    ),
    "Prefer": RequestHeader("Prefer", "wait=N: seconds to wait, 0 to 60.", command=True),
    "ToolName": RequestHeader("X-Tool-Name", "If present, the route's own tool.", command=True),
    "Automation": RequestHeader(
        "X-Dispatch-Automation",
        "Any value: no person acts, so the autonomy ladder decides whether the command may run.",
        command=True,
    ),
    "CorrelationId": RequestHeader("X-Correlation-Id", "Repeated in the answer, else made here."),
    "TraceParent": RequestHeader("traceparent", "W3C trace context."),
    "TraceId": RequestHeader("X-Trace-Id", "A trace id, where there is no traceparent."),
}
RESPONSE_HEADERS = {
    "X-Correlation-Id": "Of the request, or made here.",
    "X-Request-Id": "The idempotency key as sent.",
    "X-Command-Id": "The command; see GET /commands/{command_id}.",
    "Idempotency-Replayed": "true where a stored answer was repeated.",
}


def components() -> dict[str, Any]:
    """Return the shared parameters, headers, examples and security schemes."""
    return {
        "parameters": {
            key: {
                "name": header.name,
                "in": "header",
                "required": header.required,
                "schema": header.schema,
                "description": header.description,
            }
            for key, header in REQUEST_HEADERS.items()
        },
        "headers": {
            name: {"schema": TEXT, "description": said} for name, said in RESPONSE_HEADERS.items()
        },
        "examples": {
            code.value: {
                "summary": CODES[code].message,
                "description": load_guide().advice[code],
                "value": _envelope(code),
            }
            for code in Code
        },
        "securitySchemes": {
            "bearer": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"},
            "actorId": _development_header("X-Actor-Id"),
            "actorRole": _development_header("X-Actor-Role"),
        },
    }


def header_parameters(*, command: bool) -> list[dict[str, str]]:
    """Return the request headers of a command, or of anything else."""
    return [
        {"$ref": f"#/components/parameters/{key}"}
        for key, header in REQUEST_HEADERS.items()
        if command or not header.command
    ]


def path_parameter(name: str, schema: Mapping[str, Any] = TEXT) -> dict[str, Any]:
    """Return a parameter of the path."""
    said = load_words().parameters[name]
    return {"name": name, "in": "path", "required": True, "schema": schema, "description": said}


def query_parameter(name: str, schema: Mapping[str, Any]) -> dict[str, Any]:
    """Return an optional parameter of the query."""
    said = load_words().parameters[name]
    return {"name": name, "in": "query", "required": False, "schema": schema, "description": said}


def answer(
    schema: Mapping[str, Any], said: str = "Done.", media_type: str = JSON
) -> dict[str, Any]:
    """Return a response."""
    headers = {name: {"$ref": f"#/components/headers/{name}"} for name in RESPONSE_HEADERS}
    return {"description": said, "headers": headers, "content": {media_type: {"schema": schema}}}


def accepted() -> dict[str, Any]:
    """Return the response to a command that is not decided in time."""
    return {"202": answer(reference("Accepted"), "Not decided in time: it runs on, see Location.")}


def errors(codes: Iterable[Code]) -> dict[str, Any]:
    """Return the error responses by status, with an example of each code."""
    responses = {}
    by_status = sorted(codes, key=lambda code: CODES[code].status)
    for status, group in groupby(by_status, key=lambda code: CODES[code].status):
        listed = list(group)
        examples = {code.value: {"$ref": f"#/components/examples/{code}"} for code in listed}
        content = {JSON: {"schema": reference("Error"), "examples": examples}}
        responses[str(status)] = {"description": ", ".join(listed), "content": content}
    return responses


def error_codes(codes: Iterable[Code]) -> list[dict[str, Any]]:
    """Return status and dimension of each code."""
    return [
        {"code": code.value, "status": CODES[code].status, "dimension": CODES[code].dimension}
        for code in codes
    ]


def _envelope(code: Code) -> dict[str, object]:
    correlation_id = None if code is Code.NOT_FOUND else EXAMPLE_ID
    return error_body(code, correlation_id=correlation_id, policy_error=policy_error(code, {}))


def _development_header(name: str) -> dict[str, str]:
    said = "Development only: refused in production."
    return {"type": "apiKey", "in": "header", "name": name, "description": said}
