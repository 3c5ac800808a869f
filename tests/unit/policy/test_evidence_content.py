"""Content: what bytes show of their type, and what an image shows of itself."""

import io
import random
import struct
import sys
import tempfile
import zlib
from typing import Any

import pytest
from PIL import Image

from policy.codes import Code
from policy.evidence.model import StoredObject
from policy.evidence.sniffing import contradicts, sniffed_type
from policy.rules.bundle import load_bundle
from records.dossier.thumbnails import thumbnail as packet_thumbnail
from records.evidence import inspection
from records.evidence.inspection import inspected
from tests.integration.evidence.image_files import TAKEN, photo
from tests.unit.facts_builder import denied, judge
from tests.unit.payloads import SHA256

RULES = load_bundle().evidence.images
ISO = b"\0\0\0\x18ftyp"


def shown(content: bytes, content_type: str) -> tuple[dict[str, Any], bytes | None]:
    """Return what an image in a file shows."""
    with tempfile.TemporaryFile() as file:
        file.write(content)
        file.seek(0)
        return inspected(file, content_type, RULES)


@pytest.mark.parametrize(
    ("head", "kind"),
    [
        (photo(8, 8), "image/jpeg"),
        (photo(8, 8, "PNG"), "image/png"),
        (photo(8, 8, "WEBP"), "image/webp"),
        (photo(64, 64, "HEIF"), "image/heic"),
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


@pytest.mark.parametrize(
    ("image_format", "content_type"),
    [("JPEG", "image/jpeg"), ("PNG", "image/png"), ("WEBP", "image/webp"), ("HEIF", "image/heic")],
)
def test_an_image_shows_its_size_time_and_place_and_gives_a_thumbnail(
    image_format: str, content_type: str
) -> None:
    seen, thumbnail = shown(photo(image_format=image_format), content_type)
    assert seen == {"image": {"width": 640, "height": 480}, **TAKEN}
    assert thumbnail is not None
    small = Image.open(io.BytesIO(thumbnail))
    assert (small.format, small.size, dict(small.getexif())) == ("JPEG", (320, 240), {})


def test_the_customers_packet_shows_a_heic_too() -> None:
    small = packet_thumbnail(HEIC, "image/heic")
    assert small is not None
    assert Image.open(io.BytesIO(small)).size == (560, 420)


def bomb(side: int) -> bytes:
    """Return a PNG that claims to be a square of that many pixels a side."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        checksum = zlib.crc32(kind + content)
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", checksum)

    head = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    rows = chunk(b"IDAT", zlib.compress(bytes(1000)))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + rows + chunk(b"IEND", b"")


def heic_claiming(side: int) -> bytes:
    """Return a HEIC of 64 pixels a side that claims to be a square of that many."""
    small = photo(64, 64, "HEIF")
    claim = b"ispe" + struct.pack(">III", 0, 64, 64)
    assert small.count(claim) == 1
    return small.replace(claim, b"ispe" + struct.pack(">III", 0, side, side))


def heic_without_claim(side: int) -> bytes:
    """Return a HEIC of that many pixels a side that claims to be of 64."""
    large = photo(side, side, "HEIF")
    claim = b"ispe" + struct.pack(">III", 0, side, side)
    assert large.count(claim) == 1
    return large.replace(claim, b"ispe" + struct.pack(">III", 0, 64, 64))


@pytest.mark.parametrize(
    ("content", "content_type", "side"),
    [
        (bomb(12_000), "image/png", 12_000),
        (bomb(60_000), "image/png", None),
        (heic_claiming(12_000), "image/heic", 12_000),
        (heic_claiming(60_000), "image/heic", None),
        (heic_without_claim(2_000), "image/heic", 64),
    ],
)
def test_a_decompression_bomb_is_not_decoded(
    content: bytes, content_type: str, side: int | None
) -> None:
    seen, thumbnail = shown(content, content_type)
    assert seen.get("image") == ({"width": side, "height": side} if side else None)
    assert thumbnail is None


@pytest.mark.parametrize("content", [b"", b"no image", photo()[:300], photo(8, 8, "PNG")])
def test_what_no_decoder_takes_shows_nothing_that_would_fail(content: bytes) -> None:
    _, thumbnail = shown(content, "image/jpeg")
    assert thumbnail is None


HEIC = photo(image_format="HEIF")


def damaged(seed: int) -> bytes:
    """Return a HEIC some of whose bytes are others."""
    chance = random.Random(seed)  # noqa: S311  repeatable, not secret
    content = bytearray(HEIC)
    for _ in range(20):
        content[chance.randrange(len(content))] = chance.randrange(256)
    return bytes(content)


@pytest.mark.parametrize(
    "content",
    [
        *(b"", b"no image", photo(), HEIC[:24]),
        *(HEIC[: len(HEIC) // 2], HEIC[:-20], *map(damaged, range(8))),
    ],
)
def test_a_heic_that_is_cut_or_damaged_gives_a_picture_or_none(content: bytes) -> None:
    _, thumbnail = shown(content, "image/heic")
    assert thumbnail is None or Image.open(io.BytesIO(thumbnail)).format == "JPEG"


@pytest.mark.parametrize("end", ["os.kill(os.getpid(), 11)", "signal.pause()", "sys.exit('no')"])
def test_a_decoder_that_dies_or_never_ends_costs_the_thumbnail_only(
    end: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    half = f"import os, signal, sys; print('{{\"image\": 1}}\\nJFIF', flush=True); {end}"
    monkeypatch.setattr(inspection, "DECODER", (sys.executable, "-c", half))
    monkeypatch.setattr(inspection, "LIMIT_SECONDS", 1)
    assert shown(HEIC, "image/heic") == ({"image": 1}, None)


def test_a_decoder_that_cannot_be_started_costs_the_thumbnail_only(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(inspection, "DECODER", ("/nowhere/python",))
    assert shown(HEIC, "image/heic") == ({}, None)
