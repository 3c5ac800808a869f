"""Whatever reads bytes from outside takes time in proportion to them, whatever the bytes are.

What there is to attack is found in the sources, so that nothing new escapes: a pattern, header,
reader, payload or query that is not driven here fails a test.
"""

import json
from collections.abc import Callable, Coroutine, Iterator, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import orjson
import pytest
from pydantic import ValidationError
from starlette.datastructures import Headers, QueryParams

from api.identity.authenticator import Authenticator
from api.identity.dev_headers import identify
from api.identity.identity import read_actor_type, read_ids, read_role
from api.identity.jwks import parse_jwks
from api.identity.jws import parse_compact
from api.identity.token_claims import ClaimsReader
from api.ops.metrics import preferred
from api.reads.query import Query, query_of_payload
from api.routes import codec
from api.routes.invoice import _csv  # the export as a whole is what counts
from api.wire.context import read_context, read_trace, read_wait
from api.wire.errors import ApiError
from api.wire.ijson import check_members, parse_body, parse_json
from contracts.standard_webhooks import is_signed
from mcp_server.keys import caller_of, derived_request_id
from policy.audit.chain import hash_matches
from policy.audit.checkpoint import read_checkpoint
from policy.audit.redaction import redact
from policy.billing.invoice import work_done
from policy.canonical import canonical_bytes, sha256_hex
from policy.clock.calendar import read_calendar
from policy.closeout.gate import stored_attempt
from policy.command.message import request_hash
from policy.command.payload import content_fault, parse_payload
from policy.command.registry import command_tool
from policy.dossier.verifier import BadItemError, _Contents, root_of_path, verify
from policy.evidence.references import invalid_references, resolvable
from policy.evidence.sniffing import sniffed_type
from policy.json_levels import levels
from policy.reads.guide import Repeat
from policy.reads.parameters import PARAMETERS
from policy.rules.bundle import load_bundle
from policy.ticket.facts import CompletionContext
from policy.values import PayloadModel, parse_date_or_datetime, parse_datetime, parse_uuid
from runtime.settings import Settings, load_settings
from tests.unit.cost import enumerating
from tests.unit.cost.measuring import growth_fault
from tests.unit.cost.shapes import JSON, TEXTS
from tests.unit.facts_builder import evidence
from tests.unit.payloads import PAYLOADS, uuid_of

HEADER, BODY = 8_000, 50_000
"""A quarter of the longest head, and of a body that shows how it goes on up to the limit."""
BUNDLE = load_bundle()
SETTINGS: Settings = load_settings(
    {"DISPATCH_AUTH_JWT_SECRET": "s" * 40, "DISPATCH_AUTH_JWT_ISSUER": "issuer"}
)[0]
AUTHENTICATOR = Authenticator(SETTINGS, BUNDLE.role_aliases)
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
    "records.dossier.style.plain": "draws, in a process of its own",
    "records.dossier.style.says": "draws, in a process of its own",
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


HEADERS: Mapping[str, Reads] = dict.fromkeys(
    (
        *("accept", "authorization", "idempotency-key", "prefer", "traceparent", "tracestate"),
        *("x-account-scope", "x-site-scope", "x-actor-id", "x-actor-role", "x-actor-type"),
        *("x-correlation-id", "x-tool-name", "x-trace-id", "x-dispatch-automation"),
    ),
    _all_headers,
)
OTHER_HEADERS = {
    "content-length": "compared after a look at its length",
    "origin": "compared as it is",
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
    "api.wire.ijson.check_members": lambda raw: check_members(raw, 20_000),
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
    "policy.audit.chain.hash_matches": lambda value: hash_matches(value, ""),
    "policy.audit.checkpoint.read_checkpoint": read_checkpoint,
    "query of a payload": lambda value: Query(query_of_payload(value)),
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


@pytest.mark.parametrize(
    "found", tuple(enumerating.patterns()), ids=lambda each: f"{each[0]} {each[2]}"
)
def test_every_pattern_takes_linear_time(found: enumerating.Pattern) -> None:
    def use(text: str) -> None:
        subject = text.encode() if isinstance(found.pattern.pattern, bytes) else text
        if found.method == "sub":
            found.pattern.sub("", subject)
        else:
            getattr(found.pattern, found.method)(subject)

    size = GUARDED.get(found.where, 4 * HEADER) // 4
    assert faults(use, TEXTS, size) == []


def test_every_pattern_of_the_sources_is_attacked() -> None:
    attacked: dict[str, set[str]] = {}
    for where, _, _ in enumerating.patterns():
        if not where.endswith(" in place"):
            attacked.setdefault(where.rpartition(".")[0], set()).add(where)
    made = enumerating.compilations()
    assert {name: len(found) for name, found in attacked.items()} == {
        name: count for name, count in made.items() if name not in MADE_ELSEWHERE
    }
    assert set(MADE_ELSEWHERE) <= set(made)


@pytest.mark.parametrize("name", sorted(HEADERS))
def test_every_header_is_read_in_linear_time(name: str) -> None:
    assert faults(HEADERS[name], header(name), HEADER) == []


def test_every_header_that_is_read_is_attacked() -> None:
    read = enumerating.headers_read()
    assert read - set(HEADERS) - set(OTHER_HEADERS) == set()


@pytest.mark.parametrize("name", sorted(QUERY))
def test_every_query_is_read_in_linear_time(name: str) -> None:
    assert faults(QUERY[name], TEXTS, HEADER) == []


def test_every_way_to_read_a_query_is_attacked() -> None:
    ways = {name for name in vars(Query) if not name.startswith("_")}
    assert ways <= set(QUERY)
    assert PARAMETERS  # each of them is read in one of these ways


@pytest.mark.parametrize("name", sorted(OF_TEXT))
def test_every_text_is_read_in_linear_time(name: str) -> None:
    assert faults(OF_TEXT[name], TEXTS, HEADER) == []


@pytest.mark.parametrize("name", sorted(OF_BYTES))
def test_every_body_is_read_in_linear_time(name: str) -> None:
    assert faults(OF_BYTES[name], JSON, BODY) == []


@pytest.mark.parametrize("name", sorted(OF_JSON))
def test_every_value_is_walked_in_linear_time(name: str) -> None:
    values = {shape: _value(make) for shape, make in JSON.items()}
    assert faults(OF_JSON[name], values, BODY) == []


def test_every_function_that_reads_raw_input_is_attacked() -> None:
    driven = {
        "api.wire.context.read_context": read_context,
        "api.wire.context.read_trace": read_trace,
        "api.wire.context.read_wait": read_wait,
        "api.identity.dev_headers.identify": identify,
        "policy.dossier.verifier.root_of_path": root_of_path,
        **OF_TEXT,
        **OF_BYTES,
        **OF_JSON,
    }
    assert enumerating.readers() - set(driven) - set(NOT_READERS) == set()


def _value(make: Callable[[int], bytes]) -> Callable[[int], Any]:
    return lambda size: orjson.loads(make(size))


def _fields() -> Iterator[tuple[str, str]]:
    for tool in sorted(BUNDLE.commands):
        for field in command_tool(tool).payload.model_json_schema()["properties"]:
            yield tool, field


@pytest.mark.parametrize(("tool", "field"), tuple(_fields()))
def test_every_field_of_every_payload_is_judged_in_linear_time(tool: str, field: str) -> None:
    def judge(value: object) -> None:
        parse_payload(BUNDLE, tool, {**PAYLOADS.get(tool, {}), field: value})

    assert faults(judge, {name: _member(JSON[name]) for name in MEMBERS}, BODY) == []


def _member(make: Callable[[int], bytes]) -> Callable[[int], Any]:
    return lambda size: orjson.loads(make(size))["a"]


def test_every_model_of_what_others_send_is_judged_in_linear_time() -> None:
    enumerating.modules()
    waiting, models = [PayloadModel], set()
    while waiting:
        found = waiting.pop().__subclasses__()
        models |= set(found)
        waiting += found
    values = {name: _member(JSON[name]) for name in MEMBERS}
    for model in models:
        names = [each.alias or name for name, each in model.model_fields.items()]
        shapes = {
            f"{model.__module__}.{model.__name__}.{name} {shape}": _with_name(name, make)
            for name in names
            for shape, make in values.items()
        }
        assert faults(model.model_validate, shapes, BODY) == []


def _with_name(name: str, make: Callable[[int], Any]) -> Callable[[int], Any]:
    return lambda size: {name: make(size)}


def test_references_are_compared_in_linear_time() -> None:
    def make(size: int) -> tuple[list[Any], list[str]]:
        rows = [evidence(id=uuid_of(number), uri=f"s3://b/{number}") for number in range(size)]
        return rows, [row.uri for row in rows] + [str(row.id) for row in rows] + ["x"] * size

    def judge(given: tuple[list[Any], list[str]]) -> None:
        invalid_references(BUNDLE.evidence, given[0], given[1], (), None)

    assert growth_fault(make, judge, 1000) is None


def test_an_invoice_and_its_export_take_linear_time() -> None:
    line = {
        "id": "1",
        "kind": "PARTS",
        "item_name": "=x",
        "invoiced_quantity": "1",
        "unit_code": "C62",
        "price_amount_cents": 1,
        "line_extension_amount_cents": 1,
    }
    head = {
        **dict.fromkeys(("invoiced_object_identifier", "buyer_reference", "id"), "x"),
        **dict.fromkeys(("delivery_location_identifier", "issued_at"), "x"),
        "document_currency_code": "USD",
        "tax_total": {"tax_subtotals": []},
    }
    completed: dict[str, Any] = {
        "created_at": "2026-11-30T00:00:00Z",
        "after_state": None,
        "tool_name": "tech.complete",
        "payload": {},
    }

    def events(size: int) -> list[dict[str, Any]]:
        parts = [{"description": "x", "amount_cents": 1}] * size
        return [{**completed, "payload": {"request": {"parts": parts}}}] * 10

    def invoice(size: int) -> dict[str, Any]:
        return {**head, "invoice_lines": [line] * size}

    assert growth_fault(invoice, lambda each: _csv([each]), 5000) is None
    assert growth_fault(events, work_done, 40_000) is None


def test_a_dossier_is_verified_in_linear_time() -> None:
    def contents(size: int) -> _Contents:
        uri = "s3://b/x"
        rows = [
            {
                "tool_name": "closeout.add_evidence",
                "seq": number,
                "created_at": "2026",
                "payload": {
                    "evidence_item_id": str(UUID(int=number)),
                    "request": {"uri": uri, "checksum": None},
                },
            }
            for number in range(size)
        ]
        items = [
            {
                "id": str(UUID(int=number)),
                "ticket_id": "t",
                "uri": uri,
                "checksum": None,
                "member": None,
                "created_at": "2026",
            }
            for number in range(size)
        ]
        files = {"evidence.json": json.dumps(items).encode()}
        made = _Contents({"ticket_id": "t"}, files, {})
        made._rows = rows  # noqa: SLF001  the chain before it is a hash a row
        return made

    assert growth_fault(contents, lambda each: each._check_evidence(), 1500) is None  # noqa: SLF001
