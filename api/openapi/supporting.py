"""The operations of the OpenAPI document that are no tools."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from api.openapi.parts import (
    EXAMPLE_ID,
    IDENTITY,
    JSON,
    SECURITY,
    accepted,
    answer,
    error_codes,
    errors,
    header_parameters,
    path_parameter,
    query_parameter,
)
from api.openapi.shapes import TEXT, reference
from api.reads.evidence_links import LINK_PATH, UPLOAD_PATH
from api.routes.agents_door import METADATA_PATH
from api.routes.agents_door import PATH as AGENTS_DOOR
from policy.codes import Code
from policy.evidence.variants import Variant
from policy.reads.parameters import PAGE_LIMIT

_TICKET_CODES = (Code.INVALID_TICKET_ID, Code.FORBIDDEN_SCOPE, Code.TICKET_NOT_FOUND)
MARKDOWN, PLAIN = "text/markdown", "text/plain"


class Operation(NamedTuple):
    """One operation: where it is found, and what it is."""

    path: str
    method: str
    content: Mapping[str, Any]


def supporting_operations(call_codes: Iterable[Code]) -> Iterator[Operation]:
    """Yield the operations; `call_codes` are what a tool called by name can answer."""
    yield Operation(
        "/commands/{command_id}",
        "get",
        _guarded(
            "What became of a command",
            answer(reference("CommandStatus")),
            (*IDENTITY, Code.COMMAND_NOT_FOUND, Code.DATABASE_UNAVAILABLE),
            path_parameter("command_id"),
        ),
    )
    yield Operation(
        "/tickets/{ticketId}/escalations",
        "get",
        _guarded(
            "What a ticket was escalated for",
            answer(reference("EscalationList")),
            (*IDENTITY, *_TICKET_CODES, Code.DATABASE_UNAVAILABLE),
            path_parameter("ticketId"),
        ),
    )
    yield Operation(
        "/tools", "get", _guarded("The closed toolset", answer(reference("ToolList")), IDENTITY)
    )
    yield from _evidence()
    yield Operation("/tools/{name}", "post", _tool_call(call_codes))
    yield from _health()
    yield from _monitoring()
    yield _dossier()
    yield from _invoices()
    yield from _agents_door()
    yield from _messages()


def _messages() -> Iterator[Operation]:
    codes = (*IDENTITY, Code.FORBIDDEN_SCOPE, Code.DATABASE_UNAVAILABLE)
    listed = _guarded(
        "Received messages that fit no ticket, oldest first",
        answer(reference("MessageList")),
        (*codes, Code.INVALID_QUERY),
        query_parameter("limit", {"type": "integer", "minimum": 1, "maximum": PAGE_LIMIT}),
        query_parameter("cursor", TEXT),
    )
    yield Operation("/messages/unmatched", "get", listed)
    refusals = (
        *(Code.INVALID_REQUEST, Code.INVALID_JSON, Code.PAYLOAD_TOO_LARGE, Code.TICKET_NOT_FOUND),
        *(Code.MESSAGE_NOT_FOUND, Code.MESSAGE_ALREADY_ATTACHED),
    )
    attached = _guarded(
        "Attach a received message to the ticket it is about",
        answer(reference("AttachedMessage")),
        (*codes, *refusals),
        path_parameter("messageId"),
    )
    schema = {"type": "object", "required": ["ticket_id"], "properties": {"ticket_id": TEXT}}
    body = {"schema": schema, "example": {"ticket_id": EXAMPLE_ID}}
    content = {**attached, "requestBody": {"content": {JSON: body}}}
    yield Operation("/messages/{messageId}/attach", "post", content)


def _monitoring() -> Iterator[Operation]:
    metrics = _guarded("Counters of this process", answer(reference("Metrics")), IDENTITY)
    yield Operation("/metrics", "get", metrics)
    text = answer(TEXT, media_type=PLAIN)
    yield Operation(
        "/metrics/prometheus", "get", _guarded("Counters for Prometheus", text, IDENTITY)
    )
    codes = (*IDENTITY, Code.DATABASE_UNAVAILABLE)
    alerts = _guarded("The alerts", answer(reference("Alerts")), codes)
    yield Operation("/ops/alerts", "get", alerts)
    runbook = _open("A runbook", answer(TEXT, media_type=MARKDOWN))
    runbook["parameters"] = [path_parameter("file")]
    runbook["responses"] |= errors([Code.NOT_FOUND])
    yield Operation("/ops/runbooks/{file}", "get", runbook)


def _dossier() -> Operation:
    file = answer({"type": "string", "format": "binary"}, media_type="application/zip")
    refusals = (Code.INVALID_TICKET_ID, Code.TICKET_NOT_FOUND, Code.FORBIDDEN_SCOPE)
    codes = (*IDENTITY, *refusals, Code.NOT_FOUND, Code.DATABASE_UNAVAILABLE)
    operation = _guarded(
        "The closeout dossier of a ticket", file, codes, path_parameter("ticketId")
    )
    return Operation("/tickets/{ticketId}/dossier", "get", operation)


def _invoices() -> Iterator[Operation]:
    codes = (*IDENTITY, Code.INVALID_QUERY, Code.DATABASE_UNAVAILABLE)
    refusals = (Code.INVALID_TICKET_ID, Code.TICKET_NOT_FOUND, Code.FORBIDDEN_SCOPE)
    invoice = answer({"type": "object"})
    for media_type in ("application/pdf", "text/csv"):
        invoice["content"][media_type] = {"schema": TEXT}
    operation = _guarded(
        "The draft invoice of a ticket",
        invoice,
        (*codes, *refusals),
        path_parameter("ticketId"),
        query_parameter("format", {"enum": ["json", "pdf", "csv"]}),
    )
    yield Operation("/tickets/{ticketId}/invoice", "get", operation)
    export = _guarded(
        "Draft invoices for accounting",
        answer(TEXT, media_type="text/csv"),
        codes,
        query_parameter("from", TEXT),
        query_parameter("to", TEXT),
    )
    yield Operation("/exports/invoices", "get", export)


def _agents_door() -> Iterator[Operation]:
    told = _open("Where agents get a token", answer({"type": "object"}))
    yield Operation(METADATA_PATH, "get", told)
    spoken = _guarded("The toolset for agents (MCP)", answer({"type": "object"}), IDENTITY)
    spoken["requestBody"] = {"required": True, "content": {JSON: {"schema": {"type": "object"}}}}
    yield Operation(AGENTS_DOOR, "post", spoken)


def _evidence() -> Iterator[Operation]:
    codes = (
        *(*IDENTITY, Code.NOT_FOUND, Code.INVALID_QUERY, Code.TICKET_NOT_FOUND),
        *(Code.FORBIDDEN_SCOPE, Code.DATABASE_UNAVAILABLE, Code.OBJECT_STORE_UNAVAILABLE),
    )
    for path, summary, shape, variable in (
        (LINK_PATH, "A signed link to download evidence", "EvidenceLink", "evidenceId"),
        (UPLOAD_PATH, "How far an upload is", "UploadStatus", "uploadId"),
    ):
        parameters = [path_parameter("ticketId"), path_parameter(variable)]
        if path == LINK_PATH:
            schema = {"type": "string", "enum": list(Variant)}
            parameters.append(query_parameter("variant", schema))
        answered = answer(reference(shape))
        yield Operation(path, "get", _guarded(summary, answered, codes, *parameters))


def _health() -> Iterator[Operation]:
    for path, summary, shape in (
        ("/health", "Health of the gateway and of all it needs", "Health"),
        ("/health/ready", "Whether commands can be served", "Readiness"),
    ):
        operation = _open(summary, answer(reference(shape)))
        operation["responses"]["503"] = answer(reference(shape), "Something fails.")
        yield Operation(path, "get", operation)
    yield Operation(
        "/health/live", "get", _open("Whether the process serves", answer(reference("Live")))
    )


def _tool_call(codes: Iterable[Code]) -> dict[str, Any]:
    members = {"ticket_id": TEXT, "payload": {"type": "object"}, "request_id": TEXT}
    example = {"ticket_id": EXAMPLE_ID, "payload": {}}
    body = {"schema": {"type": "object", "properties": members}, "example": example}
    success = answer(reference("ToolAnswer"), "The tool's own status and answer, wrapped.")
    operation = _guarded(
        "Call a tool by its name", success, codes, path_parameter("name"), command=True
    )
    operation["responses"] |= {"201": success, **accepted()}
    return {**operation, "requestBody": {"content": {JSON: body}}}


def _guarded(
    summary: str,
    success: Mapping[str, Any],
    codes: Iterable[Code],
    *parameters: Mapping[str, Any],
    command: bool = False,
) -> dict[str, Any]:
    listed = [code for code in Code if code in set(codes)]
    operation = _open(summary, success)
    operation["responses"] |= errors(listed)
    return {
        **operation,
        "parameters": [*parameters, *header_parameters(command=command)],
        "security": SECURITY,
        "x-error-codes": error_codes(listed),
    }


def _open(summary: str, success: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "tags": ["supporting"],
        "summary": summary,
        "responses": {"200": success},
        "security": [],
    }
