"""The OpenAPI document: complete, valid, and true to registry, guide and codes."""

import re
from typing import Any

import pytest
from fastapi.openapi.models import OpenAPI
from starlette.requests import Request

from api.app import routes
from api.openapi.document import openapi_document, tool_codes
from api.openapi.routes import docs_routes
from api.openapi.shapes import load_shapes, shape_schemas
from api.openapi.words import load_words
from api.routes.agents_door import PATH as AGENTS_DOOR
from api.routes.agents_door import metadata_route
from policy.codes import CODES, Code
from policy.command.payload import parse_payload
from policy.reads.guide import load_guide
from policy.rules.bundle import load_bundle
from policy.ticket.shape import ticket_shape
from tests.unit.facts_builder import NOW, ticket

BUNDLE = load_bundle()
DOCUMENT = openapi_document(BUNDLE)
PAGES = {"/openapi.json", "/docs", "/docs/start.js", "/docs/swagger-ui.css"} | {
    "/docs/swagger-ui-bundle.js"
}


def references(value: object) -> set[str]:
    if isinstance(value, dict):
        own = {value["$ref"]} if isinstance(value.get("$ref"), str) else set()
        return own.union(*map(references, value.values()))
    if isinstance(value, list):
        return set[str]().union(*map(references, value))
    return set()


def test_it_is_a_valid_document() -> None:
    OpenAPI.model_validate(DOCUMENT)
    for reference in references(DOCUMENT):
        node: Any = DOCUMENT
        for step in reference.removeprefix("#/").split("/"):
            node = node[step]


def test_it_holds_every_route_and_no_other() -> None:
    always = (*routes(BUNDLE), metadata_route())
    served = {(route.path, route.method.lower()) for route in always} | {(AGENTS_DOOR, "post")}
    described = {
        (path, method) for path, operations in DOCUMENT["paths"].items() for method in operations
    }
    assert described == {each for each in served if each[0] not in PAGES}


@pytest.mark.parametrize(
    ("where", "operation"),
    [
        (f"{method.upper()} {path}", operation)
        for path, operations in DOCUMENT["paths"].items()
        for method, operation in operations.items()
    ],
)
def test_every_route_and_every_parameter_is_described(
    where: str, operation: dict[str, Any]
) -> None:
    assert operation["summary"].strip(), where
    assert len(operation["description"].split()) > 5, where
    for each in operation.get("parameters", []):
        found = each
        if "$ref" in each:
            found = DOCUMENT["components"]["parameters"][each["$ref"].rpartition("/")[2]]
        assert found["description"].strip(), f"{where} {found['name']}"


def test_no_word_is_about_a_route_that_is_not_there() -> None:
    described = {
        f"{method.upper()} {path}"
        for path, operations in DOCUMENT["paths"].items()
        for method, operation in operations.items()
        if "x-tool" not in operation
    }
    assert set(load_words().operations) == described


@pytest.mark.parametrize("name", list(BUNDLE.tools))
def test_a_tool_has_its_codes_with_status_and_dimension(name: str) -> None:
    rule = BUNDLE.tools[name]
    operation = DOCUMENT["paths"][rule.route][rule.method.lower()]
    codes = tool_codes(BUNDLE, name)

    assert set(load_guide().tools[name].codes) <= set(codes)
    assert operation["x-error-codes"] == [
        {"code": code, "status": CODES[code].status, "dimension": CODES[code].dimension}
        for code in codes
    ]
    for code in codes:
        examples = operation["responses"][str(CODES[code].status)]["content"]["application/json"]
        assert code in examples["examples"]
    assert str(rule.success_status) in operation["responses"]


@pytest.mark.parametrize("name", list(BUNDLE.commands))
def test_the_example_of_a_command_is_a_valid_payload(name: str) -> None:
    rule = BUNDLE.tools[name]
    body = DOCUMENT["paths"][rule.route]["post"]["requestBody"]["content"]["application/json"]
    payload = parse_payload(BUNDLE, name, dict(body["example"]))
    assert type(payload).__name__ != "Denial", payload


def test_every_code_has_an_envelope_as_example() -> None:
    examples = DOCUMENT["components"]["examples"]
    assert list(examples) == list(Code)
    assert examples["FORBIDDEN"]["value"]["error"]["policy_error"] == {"dimension": "role"}


def test_every_answer_is_a_known_shape_of_a_known_tool() -> None:
    shapes = load_shapes()
    assert set(shapes.answers) <= set(BUNDLE.tools)
    assert set(shapes.answers.values()) <= set(shapes.shapes)


def test_the_ticket_is_described_key_for_key() -> None:
    answered = ticket_shape(BUNDLE, ticket(), NOW, None)
    assert list(answered) == shape_schemas()["Ticket"]["required"]


async def test_the_page_loads_its_own_files_and_nothing_else() -> None:
    answers = {
        route.path: await route.handler(Request({"type": "http"})) for route in docs_routes(BUNDLE)
    }
    page = answers["/docs"]
    linked = re.findall(r'(?:src|href)="([^"]+)"', page.content.decode())

    assert set(linked) | {"/docs", "/openapi.json"} == set(answers) == PAGES
    assert "default-src 'none'" in page.headers["Content-Security-Policy"]
    assert b"/openapi.json" in answers["/docs/start.js"].content


async def test_execute_needs_no_key_to_be_typed_though_every_client_must_send_one() -> None:
    (start,) = [
        await route.handler(Request({"type": "http"}))
        for route in docs_routes(BUNDLE)
        if route.path == "/docs/start.js"
    ]
    script = start.content.decode()
    assert "key.required = false" in script
    assert "requestInterceptor: withKey" in script
    assert "crypto.getRandomValues" in script  # a page that is not on loopback has no randomUUID
    assert DOCUMENT["components"]["parameters"]["IdempotencyKey"]["required"] is True
    for path, operations in DOCUMENT["paths"].items():
        for operation in operations.values():
            body = operation.get("requestBody", {}).get("content", {}).get("application/json", {})
            assert "request_id" not in body.get("example", {}), path
