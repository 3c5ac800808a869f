"""Connections: what one may send, how long it may take, and how many there may be."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from time import process_time
from typing import ClassVar

import pytest
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.types import Receive, Scope, Send
from uvicorn import Config
from uvicorn.server import ServerState

from api.wire.body import read_body
from api.wire.connections import LimitedHttp
from api.wire.errors import ApiError
from tests.polling import eventually

HEAD = b"POST /x HTTP/1.1\r\nHost: here\r\n"
ENOUGH_SECONDS = 20
LARGE_ANSWER = 16_000_000


class HastyHttp(LimitedHttp):
    """The same with deadlines that a test can wait for."""

    most_connections: ClassVar = 20
    head_seconds: ClassVar = 0.3
    body_seconds: ClassVar = 0.6
    stalled_seconds: ClassVar = 0.3


@dataclass
class Server:
    """A server whose requests are answered with the length of their body."""

    port: int
    state: ServerState
    errors: list[str]

    async def sent(self, *parts: bytes) -> bytes:
        """Return all that is answered to bytes on a connection of their own, until it is closed."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        try:
            async with asyncio.timeout(ENOUGH_SECONDS):
                for part in parts:
                    writer.write(part)
                    await writer.drain()
                return await reader.read()
        except ConnectionError:
            return b""
        finally:
            writer.close()

    async def closed(self) -> bool:
        """Return whether no connection is left."""
        return not self.state.connections


@asynccontextmanager
async def serving(protocol: type[LimitedHttp] = HastyHttp) -> AsyncIterator[Server]:
    errors: list[str] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        try:
            body = await read_body(Request(scope, receive))
            large = scope["path"] == "/large"
            answer = Response(b"x" * LARGE_ANSWER) if large else PlainTextResponse(str(len(body)))
        except ApiError as error:
            errors.append(error.code)
            answer = Response(status_code=error.status)
        answer.headers["Connection"] = "close"
        await answer(scope, receive, send)

    state = ServerState()
    config = Config(app, log_config=None, ws="none", lifespan="off")
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: protocol(config, state, {}), "127.0.0.1", 0)
    async with server:
        yield Server(server.sockets[0].getsockname()[1], state, errors)


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    async with serving() as running:
        yield running


async def test_a_request_within_the_limits_is_served(server: Server) -> None:
    body = b"x" * 1_000_000
    answer = await server.sent(HEAD + b"Content-Length: 1000000\r\n\r\n", body)
    assert answer.startswith(b"HTTP/1.1 200")
    assert answer.endswith(b"1000000")


@pytest.mark.parametrize(
    "head",
    [
        HEAD + b"X-A: " + b"a" * 33_000 + b"\r\n\r\n",
        HEAD + b"X-A: a\r\n" * 5000 + b"\r\n",
        HEAD + b"X-A: a\r\n" * 201 + b"\r\n",
        b"POST /" + b"x" * 33_000 + b" HTTP/1.1\r\nHost: here\r\n\r\n",
        HEAD + b"X-A: " + b"a" * 4_000_000,
        HEAD + b"X-A: a\r\n" * 500_000,
    ],
)
async def test_a_head_that_is_too_long_is_refused_before_it_is_kept(
    server: Server, head: bytes
) -> None:
    answer = await server.sent(*(head[at : at + 60_000] for at in range(0, len(head), 60_000)))
    assert answer.startswith(b"HTTP/1.1 431")
    await eventually(server.closed)


@pytest.mark.parametrize(
    ("sent", "answered"),
    [
        (b"", b"HTTP/1.1 408"),
        (HEAD, b"HTTP/1.1 408"),
        (HEAD + b"X-Half: ", b"HTTP/1.1 408"),
        (HEAD + b"Content-Length: 10\r\n\r\n12345", b""),
        (HEAD + b"Transfer-Encoding: chunked\r\n\r\n5\r\n123", b""),
    ],
)
async def test_a_half_sent_request_is_not_waited_for_for_ever(
    server: Server, sent: bytes, answered: bytes
) -> None:
    answers = await asyncio.gather(*(server.sent(sent) for _ in range(10)))
    assert all(answer.startswith(answered) for answer in answers)
    await eventually(server.closed)
    assert set(server.errors) <= {"INVALID_JSON"}


async def test_a_slow_request_on_a_kept_connection_has_the_same_deadline(server: Server) -> None:
    whole = HEAD + b"Content-Length: 2\r\n\r\n{}"
    assert (await server.sent(whole + HEAD)).startswith(b"HTTP/1.1 200")
    await eventually(server.closed)


async def test_a_connection_too_many_is_sent_away(server: Server) -> None:
    async with asyncio.TaskGroup() as group:
        waiting = [group.create_task(server.sent(HEAD)) for _ in range(20)]

        async def full() -> bool:
            return len(server.state.connections) >= len(waiting)

        await eventually(full)
        assert (await server.sent(HEAD)).startswith(b"HTTP/1.1 503")
    await eventually(server.closed)
    assert b"200 OK" in await server.sent(HEAD + b"Content-Length: 0\r\n\r\n")


async def test_a_caller_who_does_not_take_its_answer_is_let_go(server: Server) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port, limit=1024)
    writer.write(b"GET /large HTTP/1.1\r\nHost: here\r\n\r\n")
    await eventually(server.closed)
    writer.close()
    del reader


async def test_a_caller_who_takes_its_answer_slowly_gets_it_all(server: Server) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port, limit=1024)
    writer.write(b"GET /large HTTP/1.1\r\nHost: here\r\n\r\n")
    size = 0
    while chunk := await reader.read(200_000):
        size += len(chunk)
        await asyncio.sleep(0.01)  # the pace of the caller, no wait for anything
    writer.close()
    assert size > LARGE_ANSWER


async def test_a_body_in_the_smallest_chunks_costs_no_more_than_its_bytes() -> None:
    async with serving(LimitedHttp) as server:
        chunked = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"
        began = process_time()
        fits = await server.sent(chunked, b"1\r\nx\r\n" * 300_000, b"0\r\n\r\n")
        seconds = process_time() - began
        refused = await server.sent(chunked, *[b"1\r\nx\r\n" * 10_000] * 100)
    assert fits.endswith(b"300000")
    assert refused.startswith(b"HTTP/1.1 413")
    assert seconds < 1
