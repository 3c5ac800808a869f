"""Content: what bytes show of their type, and what an image shows of itself."""

import io
import struct
import zlib

import pytest
from PIL import Image

from policy.bundle import load_bundle
from policy.codes import Code
from policy.facts import StoredObject
from policy.sniffing import contradicts, sniffed_type
from runtime.inspection import inspected
from tests.integration.image_files import TAKEN, photo
from tests.unit.facts_builder import denied, judge
from tests.unit.payloads import SHA256

RULES = load_bundle().evidence.images
ISO = b"\0\0\0\x18ftyp"


@pytest.mark.parametrize(
    ("head", "kind"),
    [
        (photo(8, 8), "image/jpeg"),
        (photo(8, 8, "PNG"), "image/png"),
        (photo(8, 8, "WEBP"), "image/webp"),
        (ISO + b"heic", "image/heic"),
        (ISO + b"isom", "video/mp4"),
        (b"%PDF-1.7", "application/pdf"),
        (b"ID3\x04", "audio/mpeg"),
        (b"MZ\x90\0", "application/x-executable"),
        (b'{"a": 1}', "text/plain"),
        ("gr\u00fcn ".encode() * 200, "text/plain"),
        (b"a\0b", None),
        (b"\x80\x81", None),
        (b"", None),
    ],
)
def test_the_first_bytes_show_the_type(head: bytes, kind: str | None) -> None:
    assert sniffed_type(head[:512]) == kind


@pytest.mark.parametrize(
    ("declared", "sniffed", "contradiction", "by_signature"),
    [
        ("image/jpeg", "image/jpeg", False, False),
        ("image/jpeg", "image/png", True, True),
        ("image/jpeg", "text/plain", False, True),
        ("image/jpeg", None, False, True),
        ("audio/mp4", "video/mp4", False, False),
        ("application/json", "text/plain", False, False),
        ("text/plain", "application/x-executable", True, True),
    ],
)
def test_content_contradicts_what_was_declared(
    declared: str, sniffed: str | None, contradiction: object, by_signature: object
) -> None:
    assert contradicts(declared, sniffed, by_signature=False) is contradiction
    assert contradicts(declared, sniffed, by_signature=True) is by_signature


def test_an_upload_of_another_kind_than_declared_is_refused() -> None:
    stored = StoredObject(
        size_bytes=7, sha256=SHA256, content_type="image/jpeg", sniffed_type="application/pdf"
    )
    denial = denied(judge("evidence.finalize", stored=stored))
    assert denial.code is Code.EVIDENCE_INTEGRITY_MISMATCH
    assert denial.details["failure"] == "CONTENT_TYPE_MISMATCH"
    assert denial.details["actual"] == "application/pdf"


def test_an_image_shows_its_size_time_and_place_and_gives_a_thumbnail() -> None:
    seen, thumbnail = inspected(io.BytesIO(photo()), "image/jpeg", RULES)
    assert seen == {"image": {"width": 640, "height": 480}, **TAKEN}
    assert thumbnail is not None
    small = Image.open(io.BytesIO(thumbnail))
    assert (small.format, small.size, dict(small.getexif())) == ("JPEG", (320, 240), {})


def bomb(side: int) -> bytes:
    """Return a PNG that claims to be a square of that many pixels a side."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        checksum = zlib.crc32(kind + content)
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", checksum)

    head = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    rows = chunk(b"IDAT", zlib.compress(bytes(1000)))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + rows + chunk(b"IEND", b"")


@pytest.mark.parametrize(
    ("side", "seen"),
    [(12_000, {"image": {"width": 12_000, "height": 12_000}}), (60_000, {})],
)
def test_a_decompression_bomb_is_not_decoded(side: int, seen: object) -> None:
    assert inspected(io.BytesIO(bomb(side)), "image/png", RULES) == (seen, None)


@pytest.mark.parametrize("content", [b"", b"no image", photo()[:300], photo(8, 8, "PNG")])
def test_what_no_decoder_takes_shows_nothing_that_would_fail(content: bytes) -> None:
    _, thumbnail = inspected(io.BytesIO(content), "image/jpeg", RULES)
    assert thumbnail is None
