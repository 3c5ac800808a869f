"""Evidence as tiles: a small picture, what it is, and its fingerprint."""

from collections.abc import Mapping
from io import BytesIO
from typing import Any

from reportlab.lib.units import mm
from reportlab.lib.utils import ImageReader
from reportlab.platypus import Flowable, Image, Table, TableStyle

from policy.closeout.gate import SIGNATURE_KEY
from policy.dossier.manifest import EvidenceFile
from records.dossier.style import CODE, LABEL, LINE, SMALL, TINT, says
from records.dossier.thumbnails import Picture
from records.dossier.wording import Clock, words

PICTURE_HEIGHT = 38 * mm
EXCERPT = 160


def tile(
    picture: Picture,
    clock: Clock,
    width: float,
    height: float = PICTURE_HEIGHT,
) -> Table:
    """Return an evidence item as a tile: its picture, when it was taken, its fingerprint."""
    file, small, notice = picture
    item = file.item
    title = item["metadata"].get("evidence_key") or item["kind"]
    digest = item["checksum"] or "no checksum was recorded"
    said = [
        says(words(str(title)), LABEL),
        says(f"{words(item['kind'].lower())}, {clock.show(item['created_at'])}", SMALL),
        says(f"SHA-256 {digest}" if len(digest) == 64 else digest, CODE),  # noqa: PLR2004
    ]
    said += [says(text, SMALL) for text in (file.missing, notice) if text]
    table = Table(
        [[_picture(file, small, width, height)], [said]], colWidths=[width], hAlign="LEFT"
    )
    table.setStyle(
        TableStyle(
            [
                ("BOX", (0, 0), (-1, -1), 0.6, LINE),
                ("BACKGROUND", (0, 0), (-1, 0), TINT),
                ("ALIGN", (0, 0), (-1, 0), "CENTER"),
                ("VALIGN", (0, 0), (-1, 0), "MIDDLE"),
                ("TOPPADDING", (0, 0), (-1, 0), 0),
                ("BOTTOMPADDING", (0, 0), (-1, 0), 0),
                ("LEFTPADDING", (0, 0), (-1, 0), 0),
                ("RIGHTPADDING", (0, 0), (-1, 0), 0),
            ]
        )
    )
    return table


def _picture(file: EvidenceFile, small: bytes | None, width: float, height: float) -> Flowable:
    if small is None:
        empty = Table([[_excerpt(file)]], colWidths=[width], rowHeights=[height / 2])
        empty.setStyle(
            TableStyle(
                [("ALIGN", (0, 0), (-1, -1), "CENTER"), ("VALIGN", (0, 0), (-1, -1), "MIDDLE")]
            )
        )
        return empty
    across, down = ImageReader(BytesIO(small)).getSize()
    scale = min(width / across, height / down)
    return Image(BytesIO(small), across * scale, down * scale)


def _excerpt(file: EvidenceFile) -> Flowable:
    kind = file.content_type or file.item["kind"]
    if kind == "text/plain" and file.content:
        text = file.content[: 4 * EXCERPT].decode(errors="replace")
        return says(text if len(text) <= EXCERPT else f"{text[:EXCERPT]}...", SMALL)
    return says(kind.upper(), LABEL)


def is_signature(item: Mapping[str, Any]) -> bool:
    """Whether an evidence item is a signature."""
    if item["metadata"].get("evidence_key") == SIGNATURE_KEY:
        return True
    kind: str = item["kind"]
    return kind.strip().upper() == "SIGNATURE"
