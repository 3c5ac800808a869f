"""What images show of themselves: dimensions, when and where they were taken, thumbnails."""

import json
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import Enum
from typing import IO, Any, NamedTuple, Self

from policy.rules.bundle import ImageRules

# `-I`: neither the environment nor the working directory decides what runs.
DECODER = (sys.executable, "-I", "-m", "records.evidence.decoding")
TYPES = frozenset({"image/jpeg", "image/png", "image/webp", "image/heic"})
LIMIT_SECONDS = 10
"""For one image."""
ALL_SECONDS = 30
"""For all images of one decoder."""
MOST_FAILURES = 3
"""After so many images that killed it or kept it busy a decoder takes no more."""
LINE_BYTES = 1 << 16
THUMBNAIL_BYTES = 8 << 20
# One image is decoded at a time: what decoding takes is bounded by the largest.
_decoding = threading.Lock()


class Blank(Enum):
    """Why there is no thumbnail."""

    TOO_LARGE = "too large"
    UNREADABLE = "unreadable"
    GIVEN_UP = "given up"


class Shown(NamedTuple):
    """What an image shows, and a JPEG thumbnail of it or why there is none."""

    seen: dict[str, Any]
    thumbnail: bytes | Blank


class Decoder:
    """Decodes the images of one upload or one dossier, in a process that is no part of this one.

    Decoders are native code: bytes that kill theirs or keep it busy cost the picture and an
    attempt, of which there are few, and never this process.
    """

    def __init__(self, rules: ImageRules) -> None:
        self._rules = rules
        self._process: subprocess.Popen[bytes] | None = None
        self._failures = 0
        self._seconds_left = float(ALL_SECONDS)

    def __enter__(self) -> Self:
        """Return itself; the process starts with the first image."""
        return self

    def __exit__(self, *_: object) -> None:
        """End the process."""
        self._end()

    def show(
        self, content_type: str, size_bytes: int, send: Callable[[IO[bytes]], object]
    ) -> Shown:
        """Return what an image shows; nothing of what cannot be read.

        `send` writes the image, exactly `size_bytes`, to the file it is given.
        """
        if content_type not in TYPES:
            return Shown({}, Blank.UNREADABLE)
        if size_bytes > self._rules.max_bytes:
            return Shown({}, Blank.TOO_LARGE)
        with _decoding:
            if self._failures >= MOST_FAILURES or self._seconds_left <= 0:
                return Shown({}, Blank.GIVEN_UP)
            began = time.monotonic()
            try:
                return self._asked(content_type, size_bytes, send)
            finally:
                self._seconds_left -= time.monotonic() - began

    def _asked(
        self, content_type: str, size_bytes: int, send: Callable[[IO[bytes]], object]
    ) -> Shown:
        seen: dict[str, Any] = {}
        try:
            with self._conversation() as (to, answers):
                to.write(f"{content_type} {size_bytes}\n".encode())
                send(to)
                to.flush()
                seen = _object(answers.readline(LINE_BYTES))
                return Shown(seen, _thumbnail(answers))
        except (OSError, ValueError):  # it cannot be started, or died before it had said all
            self._failures += 1
            self._end()
            return Shown(seen, Blank.UNREADABLE)

    @contextmanager
    def _conversation(self) -> Iterator[tuple[IO[bytes], IO[bytes]]]:
        """Yield the pipes of the process; one that takes too long is killed."""
        if self._process is None:
            rules = (str(self._rules.max_pixels), str(self._rules.thumbnail_pixels))
            self._process = subprocess.Popen(  # noqa: S603  our own module
                (*DECODER, *rules),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                env={},
            )
        to, answers = self._process.stdin, self._process.stdout
        if to is None or answers is None:
            raise OSError("a process without its pipes")
        limit = threading.Timer(LIMIT_SECONDS, self._process.kill)
        limit.start()
        try:
            yield to, answers
        finally:
            limit.cancel()

    def _end(self) -> None:
        if self._process is None:
            return
        self._process.kill()
        with self._process:  # closes the pipes and waits
            pass
        self._process = None


def _object(line: bytes) -> dict[str, Any]:
    """Return what the decoder says of an image; an empty line is one it could not read."""
    found = json.loads(line) if line.strip() else {}
    if not isinstance(found, dict):
        raise TypeError("the decoder answers with objects")
    return found


def _thumbnail(answers: IO[bytes]) -> bytes | Blank:
    size_bytes = int(answers.readline(LINE_BYTES))
    if size_bytes <= 0:
        return Blank.TOO_LARGE if size_bytes else Blank.UNREADABLE
    if size_bytes > THUMBNAIL_BYTES:
        raise ValueError("no size of a thumbnail")
    thumbnail = answers.read(size_bytes)
    if len(thumbnail) < size_bytes:
        raise ValueError("half a thumbnail")
    return thumbnail
