"""Small pictures of evidence, for the packet only."""

from collections.abc import Sequence
from typing import NamedTuple

from policy.dossier.manifest import EvidenceFile
from policy.evidence.sniffing import HEAD_BYTES, sniffed_type
from policy.rules.bundle import ImageRules
from records.evidence.inspection import TYPES, Blank, Decoder

SIDE_PIXELS = 560
BECAUSE = {
    Blank.TOO_LARGE: "It is too large to be shown here.",
    Blank.UNREADABLE: "It could not be shown as a picture.",
    Blank.GIVEN_UP: "It is not shown: too many pictures could not be, or took too long.",
}


class Picture(NamedTuple):
    """An evidence file with its small picture, or with the reason why a picture has none."""

    file: EvidenceFile
    small: bytes | None
    notice: str | None


def pictures(
    files: Sequence[EvidenceFile], rules: ImageRules, *, decode: bool = True
) -> Sequence[Picture]:
    """Return each file with a JPEG of what it shows; without `decode` with a notice instead."""
    with Decoder(rules.model_copy(update={"thumbnail_pixels": SIDE_PIXELS})) as decoder:
        return [_picture(file, decoder if decode else None) for file in files]


def _picture(file: EvidenceFile, decoder: Decoder | None) -> Picture:
    """Return one picture; what the first bytes show is the type that a decoder is given."""
    content = file.content or b""
    content_type = sniffed_type(content[:HEAD_BYTES])
    if content_type not in TYPES or file.content_type not in {None, content_type}:
        return Picture(file, None, None)
    if decoder is None:
        return Picture(file, None, BECAUSE[Blank.GIVEN_UP])
    small = decoder.show(content_type, len(content), lambda pipe: pipe.write(content)).thumbnail
    if isinstance(small, bytes):
        return Picture(file, small, None)
    return Picture(file, None, BECAUSE[small])
