"""Structured logs: one JSON line per record on stdout, and at the sink if there is one."""

import json
import logging
import os
import sys
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO, Final

import orjson
import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

from policy.printable import escaped
from policy.values import format_datetime

_REDACTED = "[redacted]"
OWN_FIELDS: Final = ("level", "service", "ts", "event")
"""What a record opens with; it says these of itself, and no caller overwrites them."""
_SECRET_FIELDS: Final = frozenset(
    {"authorization", "body", "headers", "password", "payload", "secret", "token", "upload_url"}
)


def configure_logging(
    service: str, *, sink: Path | None = None, level: int = logging.INFO
) -> structlog.typing.FilteringBoundLogger:
    """Send this process's records, also those of libraries, to stdout and `sink` as NDJSON.

    A record opens with level, service, ts and event. Writing never raises.
    """
    writer = LineWriter(sys.stdout.buffer, sink)
    structlog.configure(
        processors=_processors(service),
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=lambda *_: writer,
        cache_logger_on_first_use=True,
    )
    logger: structlog.typing.FilteringBoundLogger = structlog.get_logger()
    logging.basicConfig(handlers=[_LibraryHandler(logger)], level=logging.WARNING, force=True)
    return logger


class LineWriter:
    """The end of the chain: writes finished lines, ignoring whatever fails."""

    def __init__(self, stream: BinaryIO, sink: Path | None) -> None:
        self._stream = stream
        self._sink = sink

    def msg(self, line: bytes) -> None:
        """Write one line to the stream and append it to the sink."""
        with suppress(OSError, ValueError):  # a closed pipe or stream
            self._stream.write(line)
            self._stream.flush()
        if self._sink is not None:
            with suppress(OSError):
                append_line(self._sink, line)

    debug = info = warn = warning = error = exception = critical = fatal = msg


def append_line(path: Path, line: bytes) -> None:
    """Append `line` in one write, creating the file and its parent folders."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND
    try:
        descriptor = os.open(path, flags, 0o640)
    except FileNotFoundError:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(path, flags, 0o640)
    try:
        os.write(descriptor, line)
    finally:
        os.close(descriptor)


class _LibraryHandler(logging.Handler):
    """Passes the records of the standard library's logging on to our logger."""

    def __init__(self, logger: structlog.typing.FilteringBoundLogger) -> None:
        super().__init__()
        self._logger = logger

    def emit(self, record: logging.LogRecord) -> None:
        level = max(record.levelno, logging.DEBUG)
        self._logger.log(
            level, record.getMessage(), logger=record.name, exc_info=record.exc_info or None
        )


def _processors(service: str) -> list[Processor]:
    def stamp(_: WrappedLogger, method: str, fields: EventDict) -> EventDict:
        level = "error" if method == "exception" else method
        now = format_datetime(datetime.now(UTC))
        own = zip(OWN_FIELDS, (level, service, now, fields.pop("event", "")), strict=True)
        return {**dict(own), **{_given(name): value for name, value in fields.items()}}

    return [
        structlog.contextvars.merge_contextvars,
        structlog.processors.format_exc_info,
        stamp,
        _redact,
        _render,
    ]


def _given(name: str) -> str:
    """Return the name of a caller's field: a second one where the record's own has it."""
    return f"given_{name}" if name in OWN_FIELDS else name


def _redact(_: WrappedLogger, __: str, fields: EventDict) -> EventDict:
    """Keep tokens and bodies out, whoever tries to log them."""
    return {name: _REDACTED if name in _SECRET_FIELDS else each for name, each in fields.items()}


def _render(_: WrappedLogger, __: str, fields: EventDict) -> bytes:
    try:
        line = orjson.dumps(fields, default=str, option=orjson.OPT_APPEND_NEWLINE)
        return line if line.isascii() and b"\x7f" not in line else escaped(line.decode()).encode()
    except TypeError:  # what no UTF-8 or 64-bit integer can hold
        return json.dumps(fields, default=str, skipkeys=True).encode() + b"\n"
