"""What an image shows of itself: dimensions, when and where it was taken, and a thumbnail."""

import json
import subprocess
import sys
import threading
from typing import IO, Any

from policy.rules.bundle import ImageRules

# `-I`: neither the environment nor the working directory decides what runs.
DECODER = (sys.executable, "-I", "-m", "records.evidence.decoding")
TYPES = frozenset({"image/jpeg", "image/png", "image/webp", "image/heic"})
LIMIT_SECONDS = 10
# One image is decoded at a time: what decoding takes is bounded by the largest.
_decoding = threading.Lock()


def inspected(
    file: IO[bytes], content_type: str, rules: ImageRules
) -> tuple[dict[str, Any], bytes | None]:
    """Return what an image shows, and a JPEG thumbnail; nothing of what cannot be read.

    Decoders are native code, so a process of its own decodes `file`, which is a real one: bytes
    that kill it or keep it busy cost the thumbnail, and not the process that finalizes.
    """
    arguments = (content_type, str(rules.max_pixels), str(rules.thumbnail_pixels))
    with _decoding:
        try:
            done = subprocess.run(  # noqa: S603  our own module
                (*DECODER, *arguments),
                stdin=file,
                capture_output=True,
                timeout=LIMIT_SECONDS,
                check=False,
                env={},
            )
        except subprocess.TimeoutExpired as late:
            return _found(late.stdout or b"")[0], None
        except OSError:  # no process can be started
            return {}, None
    seen, thumbnail = _found(done.stdout)
    return seen, thumbnail if done.returncode == 0 else None


def _found(written: bytes) -> tuple[dict[str, Any], bytes | None]:
    head, _, thumbnail = written.partition(b"\n")
    try:
        return json.loads(head), thumbnail or None
    except ValueError:  # it died before it had said anything
        return {}, None
