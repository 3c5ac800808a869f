"""Connections: what the HTTP server takes from one, how long it waits for it, and for how many.

Whoever has no identity yet can cost no more than these limits allow. A balancer in front sets its
own, which are stricter (deploy/README.md).
"""

import asyncio
from http import HTTPStatus
from typing import Any, ClassVar

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

Handle = asyncio.TimerHandle
CLOSING = b"Content-Length: 0\r\nConnection: close\r\n\r\n"
BUSY = b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 5\r\n" + CLOSING


class LimitedHttp(HttpToolsProtocol):
    """uvicorn's protocol, with the limits that it has not."""

    most_connections: ClassVar = 1000
    head_bytes: ClassVar = 32_768
    most_headers: ClassVar = 200
    message_bytes: ClassVar = 2_097_152
    """What a request may have on the wire: its body is counted apart, without chunk marks."""
    head_seconds: ClassVar = 10.0
    body_seconds: ClassVar = 60.0
    stalled_seconds: ClassVar = 30.0
    """How long a caller may take nothing of an answer."""
    linger_seconds: ClassVar = 2.0
    """How long a refused caller may go on sending, which is thrown away, and read why."""

    _arriving: Handle | None = None
    _leaving: Handle | None = None
    _refused = False
    _unfinished_head = False
    _size = 0

    def __init__(self, *arguments: Any, **named: Any) -> None:  # noqa: ANN401  as uvicorn gives them
        super().__init__(*arguments, **named)
        self._parts: list[bytes] = []

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Admit a connection, unless there are too many."""
        super().connection_made(transport)
        if len(self.connections) > self.most_connections:
            transport.write(BUSY)
            transport.close()
        else:
            self._expect(self.head_seconds)

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the deadlines."""
        self._stop_waiting()
        self._stop_watching()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Read on, as long as head and body do not get too long."""
        if self._is_over:
            return
        self._size += len(data)
        if self._unfinished_head and self._size > self.head_bytes:
            self._refuse(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE)
        elif self._size > self.message_bytes and self._is_awaited:
            self._refuse(HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
        else:
            super().data_received(data)
            self._hand_over()

    def on_message_begin(self) -> None:
        """Begin to wait for a head."""
        super().on_message_begin()
        self._unfinished_head, self._size = True, 0
        self._expect(self.head_seconds)

    def on_headers_complete(self) -> None:
        """Judge the head as it is; a chunk of the wire may be longer than what is allowed."""
        self._unfinished_head = False
        size = len(self.url) + sum(len(name) + len(value) for name, value in self.headers)
        if self._is_over:
            return
        if size > self.head_bytes or len(self.headers) > self.most_headers:
            self._refuse(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE)
            return
        self._expect(self.body_seconds)
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """Take a part of the body; many small ones are handed over together."""
        self._parts.append(body)

    def on_message_complete(self) -> None:
        """Wait for nothing any more."""
        self._hand_over()
        if not self._is_over:
            self._stop_waiting()
            super().on_message_complete()

    def pause_writing(self) -> None:
        """Watch whether the caller takes what was written."""
        super().pause_writing()
        self._watch(self.transport.get_write_buffer_size())

    def resume_writing(self) -> None:
        """Watch no more."""
        self._stop_watching()
        super().resume_writing()

    @property
    def _is_over(self) -> bool:
        """Whether nothing that comes counts any more."""
        return self._refused or self.transport.is_closing()

    @property
    def _is_awaited(self) -> bool:
        """Whether a request is being served that has no answer yet."""
        return self.cycle is not None and not self.cycle.response_complete

    def _hand_over(self) -> None:
        parts, self._parts = self._parts, []
        if parts and not self._is_over:
            super().on_body(b"".join(parts))

    def _expect(self, seconds: float) -> None:
        self._stop_waiting()
        self._arriving = self.loop.call_later(seconds, self._came_too_late)

    def _came_too_late(self) -> None:
        if self.flow.read_paused:  # it is we who do not read
            self._expect(self.body_seconds)
        elif self._unfinished_head or self.cycle is None:
            self._refuse(HTTPStatus.REQUEST_TIMEOUT)
        else:
            self.transport.close()

    def _watch(self, left: int) -> None:
        self._stop_watching()
        self._leaving = self.loop.call_later(self.stalled_seconds, self._look_again, left)

    def _look_again(self, left: int) -> None:
        now_left = self.transport.get_write_buffer_size()
        if now_left < left:
            self._watch(now_left)
        else:
            self.transport.abort()

    def _stop_waiting(self) -> None:
        if self._arriving is not None:
            self._arriving.cancel()
            self._arriving = None

    def _stop_watching(self) -> None:
        if self._leaving is not None:
            self._leaving.cancel()
            self._leaving = None

    def _refuse(self, status: HTTPStatus) -> None:
        """Answer without reading on, and leave the caller a moment to read that."""
        self._refused = True
        self._parts.clear()
        line = f"HTTP/1.1 {status.value} {status.phrase}\r\n".encode()
        self.transport.write(line + CLOSING)
        self.transport.write_eof()
        self._stop_waiting()
        self._arriving = self.loop.call_later(self.linger_seconds, self.transport.abort)
