"""Content: what bytes show of their type, and what an image shows of itself."""

import io
import random
import resource
import struct
import sys
import zlib
from collections.abc import Mapping
from typing import Any

import pytest
from PIL import Image

from policy.codes import Code
from policy.dossier.manifest import EvidenceFile
from policy.evidence.model import StoredObject
from policy.evidence.sniffing import contradicts, sniffed_type
from policy.rules.bundle import load_bundle
from records.dossier.thumbnails import BECAUSE, Picture, pictures
from records.evidence import inspection
from records.evidence.inspection import MOST_FAILURES, Blank, Decoder
from tests.integration.evidence.image_files import TAKEN, photo, plane, png
from tests.unit.facts_builder import denied, judge
from tests.unit.payloads import SHA256

RULES = load_bundle().evidence.images
ISO = b"\0\0\0\x18ftyp"


def shown(content: bytes, content_type: str) -> tuple[dict[str, Any], bytes | None]:
    """Return what an image in a file shows."""
    with Decoder(RULES) as decoder:
        seen, thumbnail = decoder.show(content_type, len(content), lambda pipe: pipe.write(content))
        return seen, thumbnail if isinstance(thumbnail, bytes) else None


def in_the_packet(*contents: bytes) -> list[Picture]:
    """Return the pictures that a dossier shows of files of no declared type."""
    item: Mapping[str, Any] = {"content_type": None}
    return list(pictures([EvidenceFile(item, content, None) for content in contents], RULES))


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
    [(_, small, notice)] = in_the_packet(HEIC)
    assert small is not None
    assert notice is None
    assert Image.open(io.BytesIO(small)).size == (560, 420)


def bomb(side: int) -> bytes:
    """Return a PNG that claims to be a square of that many pixels a side."""
    return png(side, side, zlib.compress(bytes(1000)))


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
    half = f"import os, signal, sys; print('{{\"image\": 1}}\\n9\\nJFIF', flush=True); {end}"
    monkeypatch.setattr(inspection, "DECODER", (sys.executable, "-c", half))
    monkeypatch.setattr(inspection, "LIMIT_SECONDS", 1)
    assert shown(HEIC, "image/heic") == ({"image": 1}, None)


def test_a_decoder_that_cannot_be_started_costs_the_thumbnail_only(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(inspection, "DECODER", ("/nowhere/python",))
    assert shown(HEIC, "image/heic") == ({}, None)


def drawn(mode: str, image_format: str) -> bytes:
    """Return a signature: a black stroke on a ground that is transparent."""
    image = Image.new("RGBA", (200, 80), (0, 0, 0, 0))
    image.paste((0, 0, 0, 255), (20, 36, 180, 44))
    if mode == "P":
        image = image.convert("L").convert("P")
        image.putdata(
            [1 if 36 <= at // 200 < 44 and 20 <= at % 200 < 180 else 0 for at in range(16_000)]
        )
        image.putpalette([0, 0, 0, 0, 0, 0])
    written = io.BytesIO()
    transparency = {"transparency": 0} if mode == "P" else {}
    image.convert(mode).save(written, image_format, **transparency)
    return written.getvalue()


@pytest.mark.parametrize(
    ("mode", "image_format"), [("RGBA", "PNG"), ("LA", "PNG"), ("P", "PNG"), ("RGBA", "WEBP")]
)
def test_a_signature_on_transparent_ground_is_black_ink_on_white(
    mode: str, image_format: str
) -> None:
    content = drawn(mode, image_format)
    _, small = shown(content, f"image/{image_format.lower()}")
    for thumbnail in (small, in_the_packet(content)[0].small):
        assert thumbnail is not None
        seen = Image.open(io.BytesIO(thumbnail)).convert("L")
        assert seen.getpixel((5, 5)) == 255
        assert seen.getpixel((100, 40)) == 0


def test_sixteen_bits_of_grey_stay_grey() -> None:
    written = io.BytesIO()
    Image.new("I;16", (64, 64), 128 << 8).save(written, "PNG")
    _, small = shown(written.getvalue(), "image/png")
    assert small is not None
    assert Image.open(io.BytesIO(small)).getpixel((9, 9)) == (128, 128, 128)


PLANE = plane(10_900, 10_900)


def test_pictures_that_unfold_to_a_gigabyte_are_named_and_not_decoded() -> None:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert len(PLANE) < 1 << 20
    found = in_the_packet(PLANE, PLANE, photo())
    assert [each.notice for each in found] == [BECAUSE[Blank.TOO_LARGE]] * 2 + [None]
    assert found[2].small is not None
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 64 << 10


def test_pictures_are_shown_where_no_bytecode_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """As in a container with a read-only root, whose decoder compiles what it loads."""
    uncompiled = (sys.executable, "-BXpycache_prefix=/nowhere", *inspection.DECODER[1:])
    monkeypatch.setattr(inspection, "DECODER", uncompiled)
    shown = [photo(8, 8, kind) for kind in ("JPEG", "PNG", "WEBP", "HEIF")]
    assert [each.small is not None for each in in_the_packet(PLANE, PLANE, *shown)] == (
        [False] * 2 + [True] * len(shown)
    )


def test_the_largest_picture_that_is_decoded_stays_within_the_limit() -> None:
    assert RULES.max_pixels == 40_000_000
    written = io.BytesIO()
    Image.new("RGBA", (8000, 5000), (9, 9, 9, 90)).save(written, "PNG")
    for content in (plane(8000, 5000), written.getvalue()):
        assert in_the_packet(content)[0].small is not None


def test_a_decoder_that_keeps_dying_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inspection, "DECODER", (sys.executable, "-c", "import os; os.abort()"))
    found = in_the_packet(*[photo()] * 6)
    died = [BECAUSE[Blank.UNREADABLE]] * MOST_FAILURES
    assert [each.notice for each in found] == [*died, *[BECAUSE[Blank.GIVEN_UP]] * 3]


def test_pictures_that_take_too_long_together_are_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inspection, "ALL_SECONDS", 1e-6)
    found = in_the_packet(photo(), photo())
    assert [each.notice for each in found] == [None, BECAUSE[Blank.GIVEN_UP]]
