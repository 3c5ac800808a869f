"""What headers say besides identity, and bodies up to the limit (contract 2.1 to 2.4)."""

from collections.abc import MutableMapping
from typing import Any
from uuid import UUID

import pytest
from starlette.datastructures import Headers
from starlette.requests import Request

from api.wire.body import BODY_LIMIT_BYTES, read_body
from api.wire.context import (
    PREFER_LIMIT,
    PRODUCTION_HEADERS,
    SECURITY_HEADERS,
    TraceContext,
    read_context,
)
from api.wire.errors import ApiError, PayloadTooLargeError
from policy.codes import Code

KEY = "D3F77DB0-5d1a-4f9c-b0ea-111111111111"
TRACE, PARENT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
FULL = f"00-{TRACE}-{PARENT}-01"


def headers(*pairs: tuple[str, str]) -> Headers:
    return Headers(raw=[(name.lower().encode(), value.encode("latin-1")) for name, value in pairs])


@pytest.mark.parametrize("sent", ["abc", "  a!~  ", "x" * 200])
def test_a_usable_correlation_id_is_kept_trimmed(sent: str) -> None:
    assert read_context(headers(("X-Correlation-Id", sent))).correlation_id == sent.strip()


@pytest.mark.parametrize("sent", [None, "", "  ", "a b", "é", "x" * 201, "a\tb", "a\x7f"])
def test_an_unusable_correlation_id_becomes_a_random_uuid(sent: str | None) -> None:
    pairs = [] if sent is None else [("x-correlation-id", sent)]
    first, second = (read_context(headers(*pairs)).correlation_id for _ in range(2))
    assert UUID(first) != UUID(second)


@pytest.mark.parametrize(
    ("pairs", "expected"),
    [
        ([], TraceContext()),
        ([("traceparent", FULL)], TraceContext(TRACE, FULL)),
        ([("traceparent", f" {FULL.upper()} ")], TraceContext(TRACE, FULL)),
        ([("traceparent", f"{FULL}-later-fields")], TraceContext(TRACE, FULL)),
        (
            [("traceparent", FULL), ("tracestate", " a=1 "), ("tracestate", "b=2")],
            TraceContext(TRACE, FULL, "a=1,b=2"),
        ),
        ([("traceparent", FULL), ("tracestate", " ")], TraceContext(TRACE, FULL)),
        ([("traceparent", FULL), ("x-trace-id", "mine")], TraceContext(TRACE, FULL)),
        ([("x-trace-id", " mine "), ("tracestate", "a=1")], TraceContext("mine")),
        ([("x-trace-id", "x" * 201)], TraceContext()),
        ([("x-trace-id", "a b")], TraceContext()),
        *(
            ([("traceparent", wrong), ("x-trace-id", "mine")], TraceContext("mine"))
            for wrong in (
                "",
                "x",
                FULL[:-1],
                f"{FULL}0",
                f"ff-{TRACE}-{PARENT}-01",
                f"00-{'0' * 32}-{PARENT}-01",
                f"00-{TRACE}-{'0' * 16}-01",
                f"00-{TRACE[:-1]}g-{PARENT}-01",
                f"00-{TRACE}-{PARENT}",
                f"0-{TRACE}-{PARENT}-01",
            )
        ),
    ],
)
def test_the_trace_comes_from_traceparent_else_from_x_trace_id(
    pairs: list[tuple[str, str]], expected: TraceContext
) -> None:
    assert read_context(headers(*pairs)).trace == expected


def test_the_idempotency_key_is_repeated_as_sent() -> None:
    context = read_context(headers(("Idempotency-Key", f"  {KEY} ")))
    assert context.request_id == context.require_key() == KEY


@pytest.mark.parametrize(
    ("sent", "code"),
    [
        (None, Code.MISSING_IDEMPOTENCY_KEY),
        ("  ", Code.MISSING_IDEMPOTENCY_KEY),
        ("7", Code.INVALID_IDEMPOTENCY_KEY),
        (KEY.replace("-", ""), Code.INVALID_IDEMPOTENCY_KEY),
        (f"{{{KEY}}}", Code.INVALID_IDEMPOTENCY_KEY),
        (f"urn:uuid:{KEY}", Code.INVALID_IDEMPOTENCY_KEY),
        (KEY[:-1] + "g", Code.INVALID_IDEMPOTENCY_KEY),
    ],
)
def test_a_key_that_is_no_uuid_is_never_a_request_id(sent: str | None, code: Code) -> None:
    context = read_context(headers(*([("idempotency-key", sent)] if sent is not None else [])))
    assert context.request_id is None
    with pytest.raises(ApiError) as caught:
        context.require_key()
    assert (caught.value.code, caught.value.status) == (code, 400)


@pytest.mark.parametrize(
    ("sent", "name"), [("", None), ("  ", None), (" ticket.get ", "ticket.get")]
)
def test_a_blank_tool_name_counts_as_absent(sent: str, name: str | None) -> None:
    assert read_context(headers(("x-tool-name", sent))).tool_name == name


@pytest.mark.parametrize(
    ("sent", "seconds"),
    [
        ([], None),
        (["wait=0"], 0),
        (["wait=5"], 5),
        (["wait=60"], 60),
        (["wait=61"], 60),
        (["wait=" + "9" * 5000], 60),
        (["wait=007"], 7),
        (["WAIT = 7"], 7),
        (['wait="7"'], 7),
        (["respond-async, wait=7; strict"], 7),
        (["respond-async", "handling=lenient", "wait=7"], 7),
        (['note="wait=3, wait=4", wait=5'], 5),
        (["wait=5, wait=6"], 5),
        (["wait=soon, wait=6"], None),
        (["wait"], None),
        (["wait="], None),
        (["wait=-1"], None),
        (["wait=+1"], None),
        (["wait=1.5"], None),
        (["wait=1 2"], None),
        (['wait="7'], None),
        (["wait=\xb2"], None),
        (["await=5"], None),
        (["handling=lenient; wait=5"], None),
        (['"' * 10_000], None),
        (["wait=5, " + "x" * PREFER_LIMIT], None),
        (['note="never closed, wait=5'], None),
        (['wait=5, note="never closed\\'], 5),
    ],
)
def test_prefer_wait_is_read_up_to_sixty_seconds(sent: list[str], seconds: int | None) -> None:
    assert read_context(headers(*(("prefer", each) for each in sent))).wait_seconds == seconds


def test_hsts_is_for_production_alone() -> None:
    assert set(PRODUCTION_HEADERS) - set(SECURITY_HEADERS) == {"Strict-Transport-Security"}


def request(*chunks: bytes, length: str | None = None) -> Request:
    """Return a request whose body arrives in `chunks`; one too many is an error."""
    waiting = list(chunks)

    async def receive() -> MutableMapping[str, Any]:
        body = waiting.pop(0)
        return {"type": "http.request", "body": body, "more_body": bool(waiting)}

    sent = [] if length is None else [(b"content-length", length.encode())]
    return Request({"type": "http", "method": "POST", "headers": sent}, receive)


async def test_a_body_of_the_limit_is_read_whole() -> None:
    half = b"x" * (BODY_LIMIT_BYTES // 2)
    assert await read_body(request(half, half, b"", length="1048576")) == half + half
    assert await read_body(request(b"")) == b""


@pytest.mark.parametrize(
    "too_large",
    [request(length="11"), request(length="9" * 30), request(b"x" * 6, b"x" * 5, b"never read")],
)
async def test_a_longer_body_is_refused_before_it_is_read(too_large: Request) -> None:
    with pytest.raises(PayloadTooLargeError) as caught:
        await read_body(too_large, limit=10)
    assert (caught.value.status, caught.value.details) == (413, {"limit_bytes": 10})
