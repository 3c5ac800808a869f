"""Everything that reads bytes from outside, by name, as the test of growth drives it."""

import json
from collections.abc import Callable, Coroutine, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

from pydantic import ValidationError
from starlette.datastructures import Headers, QueryParams
from starlette.types import Receive, Scope, Send

from api.identity.authenticator import Authenticator
from api.identity.dev_headers import identify
from api.identity.identity import read_actor_type, read_ids, read_role
from api.identity.jwks import parse_jwks
from api.identity.jws import parse_compact
from api.identity.token_claims import ClaimsReader
from api.ops.metrics import preferred
from api.reads.query import Query, query_of_payload
from api.routes import codec
from api.wire.context import read_context
from api.wire.errors import ApiError
from api.wire.ijson import check_members, is_json, parse_body, parse_json
from api.wire.own_hosts import OwnHosts
from contracts.standard_webhooks import is_signed
from mcp_server.keys import caller_of, derived_request_id
from mcp_server.messages import fault_of
from policy.audit.chain import hash_matches
from policy.audit.checkpoint import read_checkpoint
from policy.audit.redaction import redact
from policy.canonical import canonical_bytes, sha256_hex
from policy.clock.calendar import read_calendar
from policy.closeout.gate import stored_attempt
from policy.command.message import request_hash
from policy.command.payload import content_fault
from policy.dossier.verifier import BadItemError, verify
from policy.evidence.references import resolvable
from policy.evidence.sniffing import sniffed_type
from policy.json_levels import levels, may_be_unsafe
from policy.reads.guide import Repeat
from policy.rules.bundle import load_bundle
from policy.sensitive import has_too_many
from policy.ticket.facts import CompletionContext
from policy.values import parse_date_or_datetime, parse_datetime, parse_uuid
from records.dossier.text import says
from runtime.settings import Settings, load_settings
from tests.unit.cost import enumerating
from tests.unit.cost.measuring import growth_fault
from tests.unit.cost.shapes import TEXTS

HEADER, BODY = 8_000, 50_000
"""A quarter of the longest head, and of a body that shows how it goes on up to the limit."""


async def _nowhere(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer nothing: what stands before an application is read all the same."""


BUNDLE = load_bundle()
SETTINGS: Settings = load_settings(
    {"DISPATCH_AUTH_JWT_SECRET": "s" * 40, "DISPATCH_AUTH_JWT_ISSUER": "issuer"}
)[0]
AUTHENTICATOR = Authenticator(SETTINGS, BUNDLE.role_aliases)
OWN_HOSTS = OwnHosts(_nowhere, SETTINGS)
CLAIMS = ClaimsReader(SETTINGS, BUNDLE.role_aliases)
REFUSED = (ApiError, BadItemError, ValueError, TypeError, KeyError, RecursionError, ValidationError)
NOW = datetime(2026, 11, 30, tzinfo=UTC)

PATTERNS = tuple(enumerating.patterns())
MEMBERS = ("array of 0", "array of {}", "text of x", "text of 1", "text of a@a.", "text of _V1")
Reads = Callable[[Any], object]

GUARDED = {"policy.tools.ticket.blind_intake._EMAIL": 200}
"""Patterns that only see texts of so many characters: who asks them looks at the length first."""
MADE_ELSEWHERE = {
    "api.wire.serving": "the templates of our own routes",
    "mcp_server.tool_names": "the names of our own tools",
}
NOT_READERS = {
    "contracts.signing.is_authentic": "takes a key",
    "contracts.signing.sign": "takes a key",
    "contracts.standard_webhooks.new_secret": "takes our own random bytes",
    "policy.audit.merkle.leaf_hash": "one hash",
    "policy.audit.merkle.node_hash": "one hash",
    "policy.dossier.verifier.is_signed": "one hash and a fixed number of steps",
    "records.dossier.page.note": "says a text",
    "records.dossier.thumbnails.thumbnail": "decodes within its own limits of size and time",
    "records.evidence.accepting.checksum_of": "reads what our own store says",
}


def run(reads: Reads, value: Any) -> None:  # noqa: ANN401  whatever it reads
    """Let a reader read, and refuse."""
    with suppress(*REFUSED):
        answer = reads(value)
        if isinstance(answer, Coroutine):
            with suppress(StopIteration):  # it waits for nothing
                answer.send(None)


def faults(
    reads: Reads, shapes: Mapping[str, Callable[[int], Any]], size: int
) -> list[tuple[str, str]]:
    """Return the shapes whose cost grows too fast."""
    found = (
        (name, growth_fault(make, lambda value: run(reads, value), size))
        for name, make in shapes.items()
    )
    return [(name, fault) for name, fault in found if fault is not None]


def header(*names: str) -> Mapping[str, Callable[[int], Headers]]:
    def of(make: Callable[[int], str], name: str) -> Callable[[int], Headers]:
        return lambda size: Headers({"x-actor-id": "a", "x-actor-role": "ops", name: make(size)})

    return {f"{name} {shape}": of(make, name) for name in names for shape, make in TEXTS.items()}


def _all_headers(value: Headers) -> None:
    run(read_context, value)
    run(lambda each: identify(each, BUNDLE.role_aliases).actor, value)
    run(AUTHENTICATOR.authenticate, value)
    run(caller_of, value)
    run(preferred, value.get("accept", ""))
    run(lambda each: OWN_HOSTS.is_own("GET", each), value)


HEADERS: Mapping[str, Reads] = dict.fromkeys(
    (
        *(
            "accept",
            "authorization",
            "host",
            "idempotency-key",
            "origin",
            "prefer",
            "traceparent",
            "tracestate",
        ),
        *("x-account-scope", "x-site-scope", "x-actor-id", "x-actor-role", "x-actor-type"),
        *("x-correlation-id", "x-tool-name", "x-trace-id", "x-dispatch-automation"),
    ),
    _all_headers,
)
OTHER_HEADERS = {
    "content-length": "compared after a look at its length",
    "content-md5": "of an answer that we asked for",
    "etag": "of an answer that we asked for",
    "x-amz-checksum-sha256": "of an answer that we asked for",
    "x-command-id": "of an answer that we asked for",
    "x-request-id": "of an answer that we asked for",
}
QUERY: Mapping[str, Reads] = {
    "words": lambda text: Query(QueryParams([("a", text)])).words("a"),
    "choices": lambda text: Query(QueryParams([("a", text)])).choices("a", ("A", "B")),
    "uuids": lambda text: Query(QueryParams([("a", text)])).uuids("a"),
    "ticket_id": lambda text: Query(QueryParams([("ticket_id", text)])).ticket_id(),
    "text": lambda text: Query(QueryParams([("a", text)])).text("a"),
    "limit": lambda text: Query(QueryParams([("limit", text)])).limit(1),
    "cursor": lambda text: Query(QueryParams([("cursor", text)])).cursor(),
    "the whole string": lambda text: Query(QueryParams(text)),
}
OF_TEXT: Mapping[str, Reads] = {
    "records.dossier.text.says": says,
    "api.identity.identity.read_role": lambda text: read_role(text, BUNDLE.role_aliases),
    "api.identity.identity.read_actor_type": lambda text: read_actor_type(text, None),  # type: ignore[arg-type]  # only a word is read
    "api.identity.identity.read_ids": read_ids,
    "policy.values.parse_uuid": parse_uuid,
    "policy.values.parse_datetime": parse_datetime,
    "policy.values.parse_date_or_datetime": parse_date_or_datetime,
    "compact token": parse_compact,
    "token of hostile claims": lambda text: (
        CLAIMS.identity(
            {
                "iss": "issuer",
                "sub": text,
                "role": text,
                "tenant_id": text,
                "scope": {"site_ids": text},
            }
        ).actor
    ),
    "accept": preferred,
    "uri of evidence": lambda text: resolvable(BUNDLE.evidence, text),
    "hours": lambda text: read_calendar(text, "UTC", "US", "CA"),
    "time zone": lambda text: read_calendar('{"weekly":{}}', text, text, text),
    "webhook": lambda text: is_signed(
        ["secret"],
        {"webhook-id": text, "webhook-timestamp": "1", "webhook-signature": text},
        datetime.fromtimestamp(1, UTC),
        b"",
    ),
    "webhook time": lambda text: is_signed(
        ["secret"], {"webhook-id": "a", "webhook-timestamp": text}, NOW, b""
    ),
}
OF_BYTES: Mapping[str, Reads] = {
    "api.wire.ijson.parse_body": parse_body,
    "api.wire.ijson.parse_json": parse_json,
    "api.wire.ijson.is_json": is_json,
    "api.wire.ijson.check_members": lambda raw: check_members(raw, 20_000),
    "policy.json_levels.may_be_unsafe": may_be_unsafe,
    "api.identity.jwks.parse_jwks": parse_jwks,
    "policy.evidence.sniffing.sniffed_type": sniffed_type,
    "policy.dossier.verifier.verify": lambda raw: verify(raw, {}),
}
OF_JSON: Mapping[str, Reads] = {
    "policy.canonical.canonical_bytes": canonical_bytes,
    "policy.canonical.sha256_hex": sha256_hex,
    "policy.command.message.request_hash": lambda value: request_hash(value, {}),
    "policy.command.payload.content_fault": content_fault,
    "policy.audit.redaction.redact": lambda value: redact(value, b"key"),
    "policy.json_levels.levels": lambda value: list(levels(value)),
    "policy.sensitive.has_too_many": has_too_many,
    "policy.audit.chain.hash_matches": lambda value: hash_matches(value, ""),
    "policy.audit.checkpoint.read_checkpoint": read_checkpoint,
    "query of a payload": lambda value: Query(query_of_payload(value)),
    "mcp_server.messages.fault_of": fault_of,
    "members of a message": lambda value: fault_of({"jsonrpc": "2.0", "id": 1, **value}),
    "key of a call": lambda value: derived_request_id("c", "t", Repeat.ADDS, value, NOW),
    "claims": lambda value: CLAIMS.identity({"iss": "issuer", "sub": "a", "role": "ops", **value}),
    "batch of payloads": lambda value: codec._read({"payloads": value["a"]}),  # noqa: SLF001
    "hours": lambda value: read_calendar(json.dumps({"weekly": value}), "UTC", "US", None),
    "exceptions": lambda value: read_calendar(
        json.dumps({"weekly": {"mon": [["09:00", "17:00"]]}, "exceptions": value}),
        "UTC",
        "US",
        None,
    ),
    "stored completion": lambda value: stored_attempt(
        CompletionContext(tool_name="tech.complete", request={"evidence_refs": value["a"]})
    ),
}
