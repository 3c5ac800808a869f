"""Whatever reads bytes from outside takes time in proportion to them, whatever the bytes are.

What there is to attack is found in the sources, so that nothing new escapes: a pattern, header,
reader, payload or query that is not driven here fails a test.
"""

import json
from collections.abc import Callable, Iterator
from typing import Any
from uuid import UUID

import orjson
import pytest

from api.identity.dev_headers import identify
from api.reads.query import Query
from api.routes.invoice import _csv  # the export as a whole is what counts
from api.wire.context import read_context, read_trace, read_wait
from policy.billing.derived import work_done
from policy.command.payload import parse_payload
from policy.command.registry import command_tool
from policy.dossier.verifier import _Contents, root_of_path
from policy.evidence.references import invalid_references
from policy.reads.parameters import PARAMETERS
from policy.values import PayloadModel
from tests.unit.cost import enumerating
from tests.unit.cost.measuring import growth_fault
from tests.unit.cost.readers import (
    BUNDLE,
    GUARDED,
    HEADERS,
    MADE_ELSEWHERE,
    MEMBERS,
    NOT_READERS,
    OF_BYTES,
    OF_JSON,
    OF_TEXT,
    OTHER_HEADERS,
    QUERY,
    faults,
    header,
)
from tests.unit.cost.shapes import JSON, TEXTS
from tests.unit.facts_builder import evidence
from tests.unit.payloads import PAYLOADS, uuid_of

HEADER, BODY = 8_000, 50_000
"""A quarter of the longest head, and of a body that shows how it goes on up to the limit."""


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
