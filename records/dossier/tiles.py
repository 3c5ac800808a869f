"""Evidence as tiles: a small picture, what it is, and its fingerprint."""

from collections.abc import Mapping
from typing import Any

from policy.closeout.gate import SIGNATURE_KEY
from policy.dossier.manifest import EvidenceFile
from records.dossier.page import Block
from records.dossier.text import Text, cut, plain, says
from records.dossier.thumbnails import Picture
from records.dossier.wording import Clock, words

PICTURE_MM = 38
EXCERPT, EXCERPT_LINES, EXCERPT_BYTES = 160, 4, 640
SHA256_DIGITS = 64
MOST = 300
"""Characters of a name or a reference; what is longer is exact in the archive."""
WHOLE = 1200
"""A tile of more characters than this may be split over pages."""


def picture_name(picture: Picture) -> str:
    """Return the name of an item's picture on the page."""
    return f"{picture.file.item['id']}.jpg"


def tile(picture: Picture, clock: Clock, height_mm: int = PICTURE_MM) -> Block:
    """Return an evidence item as a tile: its picture, when it was taken, its fingerprint."""
    file, small, notice = picture
    item = file.item
    title = cut(words(str(item["metadata"].get("evidence_key") or item["kind"])), MOST)
    kind = words(item["kind"])
    digest = item["checksum"] or "no checksum was recorded"
    said = [
        (title, "label"),
        (f"{kind}, {clock.show(item['created_at'])}", "small"),
        (f"SHA-256 {digest}" if len(digest) == SHA256_DIGITS else digest, "code"),
        *((text, "small") for text in (file.missing, notice) if text),
    ]
    if file.content is None:
        said.append((f"Reference: {cut(item['uri'], MOST)}", "code"))
    shown = {
        "lines": [says(text, style) for text, style in said],
        "whole": sum(len(plain(text)) for text, _ in said) < WHOLE,
    }
    if small is None:
        return {**shown, "excerpt": _excerpt(file)}
    name, alt = picture_name(picture), plain(f"{kind}: {title}")
    return {**shown, "picture": name, "alt": alt, "height": height_mm}


def _excerpt(file: EvidenceFile) -> Text:
    kind = file.content_type or file.item["kind"]
    if kind == "text/plain" and file.content:
        text = file.content[:EXCERPT_BYTES].decode(errors="replace")
        return says(cut(text, EXCERPT, EXCERPT_LINES), "small")
    return says(cut(kind, EXCERPT).upper(), "label")


def is_signature(item: Mapping[str, Any]) -> bool:
    """Whether an evidence item is a signature."""
    if item["metadata"].get("evidence_key") == SIGNATURE_KEY:
        return True
    kind: str = item["kind"]
    return kind.strip().upper() == "SIGNATURE"
