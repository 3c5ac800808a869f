"""The OpenAPI document, made from the tool registry, the guide and the error codes."""

from collections.abc import Iterable, Mapping
from itertools import groupby
from typing import Any

from api.openapi_shapes import answer_schema, reference, shape_schemas
from api.surface import CONTRACT_VERSION
from policy.bundle import Bundle, ToolRule
from policy.codes import CODES, Code
from policy.envelope import error_body, policy_error
from policy.guide import described_schema, load_guide
from policy.queries import PARAMETERS
from policy.registry import alias

EXAMPLE_ID = "0b1f6d3e-52a7-4c1d-9a58-6f0f7a4f2f10"
JSON = "application/json"
MARKDOWN = "text/markdown"
IDENTITY = (
    Code.AUTH_REQUIRED,
    Code.INVALID_AUTH_TOKEN,
    Code.INVALID_AUTH_CLAIMS,
    Code.AUTH_CONFIG_ERROR,
    Code.MISSING_ACTOR_CONTEXT,
    Code.INVALID_ACTOR_CONTEXT,
    Code.FORBIDDEN,
)
TOOL = (*IDENTITY, Code.TOOL_NOT_ALLOWED, Code.DATABASE_UNAVAILABLE, Code.INTERNAL_ERROR)
COMMAND = (
    *TOOL,
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
SECURITY = [{"bearer": []}, {"actorId": [], "actorRole": []}]
_TEXT = {"type": "string"}
REQUEST_HEADERS = {
    "IdempotencyKey": (
        "Idempotency-Key",
        True,
        {"type": "string", "format": "uuid"},
        "One per intention; repeat it to retry.",
    ),
    "Prefer": (
        "Prefer",
        False,
        {"type": "string", "examples": ["wait=10"]},
        "wait=N: seconds to wait, 0 to 60.",
    ),
    "ToolName": ("X-Tool-Name", False, _TEXT, "If present, it must be the route's own tool."),
    "CorrelationId": (
        "X-Correlation-Id",
        False,
        _TEXT,
        "Repeated in the answer; made here if absent.",
    ),
    "TraceParent": ("traceparent", False, _TEXT, "W3C trace context."),
    "TraceId": ("X-Trace-Id", False, _TEXT, "A trace id, where there is no traceparent."),
}
RESPONSE_HEADERS = {
    "X-Correlation-Id": "Of the request, or made here.",
    "X-Request-Id": "The idempotency key as sent.",
    "X-Command-Id": "The command; see GET /commands/{command_id}.",
    "Idempotency-Replayed": "true where the stored answer was repeated.",
}


def openapi_document(bundle: Bundle) -> dict[str, Any]:
    """Return the document."""
    paths: dict[str, dict[str, Any]] = {}
    for name, rule in bundle.tools.items():
        paths.setdefault(rule.route, {})[rule.method.lower()] = _tool(bundle, name, rule)
    for path, method, operation in _supporting():
        paths.setdefault(path, {})[method] = operation
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Real Dispatch",
            "version": CONTRACT_VERSION,
            "description": load_guide().instructions,
            "license": {"name": "MIT", "identifier": "MIT"},
        },
        "servers": [{"url": "/"}],
        "tags": [{"name": tag} for tag in dict.fromkeys(map(_tag, bundle.tools))],
        "paths": paths,
        "components": {
            "schemas": {**shape_schemas(), "Error": _error_schema()},
            "parameters": {key: _header(*header) for key, header in REQUEST_HEADERS.items()},
            "headers": {
                name: {"schema": _TEXT, "description": said}
                for name, said in RESPONSE_HEADERS.items()
            },
            "securitySchemes": _security_schemes(),
        },
    }


def _tool(bundle: Bundle, name: str, rule: ToolRule) -> dict[str, Any]:
    words = load_guide().tools[name]
    states = [state.value for state in rule.from_states or ()]
    said = [words.does, f"Next: {words.next}", f"Roles: {', '.join(rule.roles)}."]
    if states:
        said.append(f"From: {', '.join(states)}.")
    codes = tool_codes(bundle, name)
    operation = {
        "operationId": alias(name),
        "tags": [_tag(name)],
        "summary": words.title,
        "description": "\n\n".join(said),
        "parameters": [*_path_parameters(rule), *_query(name), *_headers(rule)],
        "responses": {
            str(rule.success_status): _success(name),
            **(_accepted() if rule.mutating else {}),
            **_errors(codes),
        },
        "security": SECURITY,
        "x-tool": {"name": name, "roles": rule.roles, "from_states": states or None},
        "x-error-codes": [_code(code) for code in codes],
    }
    if rule.mutating:
        content = {"schema": described_schema(name, rule), "example": words.example}
        operation["requestBody"] = {"required": True, "content": {JSON: content}}
    return operation


def tool_codes(bundle: Bundle, name: str) -> list[Code]:
    """Return every code that a tool can answer, in the order of the contract."""
    rule = bundle.tools[name]
    codes = {*(COMMAND if rule.mutating else TOOL), *map(Code, load_guide().tools[name].codes)}
    if rule.requires_ticket_id:
        codes |= {*TICKET, Code.NOT_FOUND if rule.mutating else Code.INVALID_TICKET_ID}
    if rule.from_states and Code.SCHEDULE_HOLD_STATE_CONFLICT not in codes:
        codes.add(Code.INVALID_STATE_TRANSITION)
    if rule.creates_ticket:
        codes.add(Code.FORBIDDEN_SCOPE)
    return [code for code in Code if code in codes]


def _supporting() -> Iterable[tuple[str, str, dict[str, Any]]]:
    """Yield the routes that are no tools."""
    command_id = {"name": "command_id", "in": "path", "required": True, "schema": _TEXT}
    yield (
        "/commands/{command_id}",
        "get",
        _plain(
            "What became of a command",
            "CommandStatus",
            (*IDENTITY, Code.COMMAND_NOT_FOUND),
            [command_id],
        ),
    )
    yield "/tools", "get", _plain("The closed toolset", "ToolList", IDENTITY)
    call = _plain(
        "Call a tool by its name",
        "ToolAnswer",
        (*COMMAND, *BY_NAME, *TICKET),
        [
            {"name": "name", "in": "path", "required": True, "schema": _TEXT},
            *_header_refs(command=True)[1:],
        ],
    )
    body = {
        "type": "object",
        "properties": {"ticket_id": _TEXT, "payload": {"type": "object"}, "request_id": _TEXT},
    }
    example = {"ticket_id": EXAMPLE_ID, "payload": {}, "request_id": EXAMPLE_ID}
    call["requestBody"] = {"content": {JSON: {"schema": body, "example": example}}}
    call["responses"] |= _accepted()
    yield "/tools/{name}", "post", call
    yield (
        "/health",
        "get",
        _open("Health of the gateway and of all it needs", "Health", unavailable=True),
    )
    yield "/health/live", "get", _open("Whether the process serves", "Live")
    yield (
        "/health/ready",
        "get",
        _open("Whether commands can be served", "Readiness", unavailable=True),
    )
    yield "/metrics", "get", _plain("Counters of this process", "Metrics", IDENTITY)
    text = {
        "200": {"description": "Prometheus text.", "content": {"text/plain": {"schema": _TEXT}}}
    }
    prometheus = _plain("Counters as Prometheus text", "Metrics", IDENTITY)
    yield (
        "/metrics/prometheus",
        "get",
        {**prometheus, "responses": {**prometheus["responses"], **text}},
    )
    yield (
        "/ops/alerts",
        "get",
        _plain("The alerts", "Alerts", (*IDENTITY, Code.DATABASE_UNAVAILABLE)),
    )
    file = {"name": "file", "in": "path", "required": True, "schema": _TEXT}
    runbook = {"200": {"description": "The document.", "content": {MARKDOWN: {"schema": _TEXT}}}}
    yield (
        "/ops/runbooks/{file}",
        "get",
        {
            **_open("A runbook", "Live"),
            "parameters": [file],
            "responses": {**runbook, **_errors([Code.NOT_FOUND])},
        },
    )


def _plain(
    summary: str, shape: str, codes: Iterable[Code], parameters: Iterable[Mapping[str, Any]] = ()
) -> dict[str, Any]:
    listed = [code for code in Code if code in {*codes, Code.INTERNAL_ERROR}]
    return {
        **_open(summary, shape),
        "parameters": [*parameters, *_header_refs(command=False)],
        "responses": {"200": _response(reference(shape)), **_errors(listed)},
        "security": SECURITY,
        "x-error-codes": [_code(code) for code in listed],
    }


def _open(summary: str, shape: str, *, unavailable: bool = False) -> dict[str, Any]:
    answer = _response(reference(shape))
    return {
        "tags": ["operations"],
        "summary": summary,
        "responses": {"200": answer, **({"503": answer} if unavailable else {})},
        "security": [],
    }


def _success(name: str) -> dict[str, Any]:
    return {**_response(answer_schema(name)), "headers": _header_names()}


def _accepted() -> dict[str, Any]:
    answer = _response(reference("Accepted"), "Not decided in time: it runs on; see Location.")
    return {"202": {**answer, "headers": _header_names()}}


def _response(schema: Mapping[str, Any], said: str = "Done.") -> dict[str, Any]:
    return {"description": said, "content": {JSON: {"schema": schema}}}


def _errors(codes: Iterable[Code]) -> dict[str, Any]:
    """Return the error responses by status, with an example of each code."""
    by_status = sorted(codes, key=lambda code: CODES[code].status)
    responses = {}
    for status, group in groupby(by_status, key=lambda code: CODES[code].status):
        listed = list(group)
        lines = [f"`{code}`: {CODES[code].message}" for code in listed]
        responses[str(status)] = {
            "description": "\n\n".join(lines),
            "content": {
                JSON: {
                    "schema": reference("Error"),
                    "examples": {code.value: {"value": _example(code)} for code in listed},
                }
            },
        }
    return responses


def _example(code: Code) -> dict[str, object]:
    correlation_id = None if code is Code.NOT_FOUND else EXAMPLE_ID
    return error_body(code, correlation_id=correlation_id, policy_error=policy_error(code, {}))


def _code(code: Code) -> dict[str, Any]:
    spec = CODES[code]
    return {
        "code": code.value,
        "status": spec.status,
        "dimension": spec.dimension,
        "advice": load_guide().advice[code],
    }


def _path_parameters(rule: ToolRule) -> list[dict[str, Any]]:
    schema = {"type": "string", "format": "uuid"}
    return [
        {"name": name, "in": "path", "required": True, "schema": schema}
        for name in rule.path_parameters
    ]


def _query(name: str) -> list[dict[str, Any]]:
    return [
        {
            "name": each.name,
            "in": "query",
            "description": each.description,
            "schema": {"type": "array", "items": each.schema} if each.repeatable else each.schema,
        }
        for each in PARAMETERS.get(name, ())
    ]


def _headers(rule: ToolRule) -> list[dict[str, Any]]:
    return _header_refs(command=rule.mutating)


def _header_refs(*, command: bool) -> list[dict[str, Any]]:
    keys = list(REQUEST_HEADERS) if command else ["CorrelationId", "TraceParent", "TraceId"]
    return [{"$ref": f"#/components/parameters/{key}"} for key in keys]


def _header_names() -> dict[str, Any]:
    return {name: {"$ref": f"#/components/headers/{name}"} for name in RESPONSE_HEADERS}


def _header(name: str, required: bool, schema: Mapping[str, Any], said: str) -> dict[str, Any]:  # noqa: FBT001
    return {
        "name": name,
        "in": "header",
        "required": required,
        "schema": schema,
        "description": said,
    }


def _security_schemes() -> dict[str, Any]:
    def actor(name: str) -> dict[str, str]:
        return {
            "type": "apiKey",
            "in": "header",
            "name": name,
            "description": "Development only, never in production.",
        }

    return {
        "bearer": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"},
        "actorId": actor("X-Actor-Id"),
        "actorRole": actor("X-Actor-Role"),
    }


def _error_schema() -> dict[str, Any]:
    error = {
        "type": "object",
        "required": ["code", "message", "request_id"],
        "properties": {
            "code": {"type": "string", "enum": [code.value for code in Code]},
            "message": _TEXT,
            "request_id": {"type": ["string", "null"]},
            "correlation_id": _TEXT,
            "policy_error": {"type": "object", "properties": {"dimension": _TEXT}},
        },
        "additionalProperties": True,
    }
    return {"type": "object", "required": ["error"], "properties": {"error": error}}


def _tag(name: str) -> str:
    return name.partition(".")[0]
