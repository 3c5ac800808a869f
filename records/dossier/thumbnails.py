"""Small pictures of evidence, for the packet only."""

import warnings
from io import BytesIO
from tempfile import TemporaryFile

from PIL import Image, ImageOps, UnidentifiedImageError

from policy.rules.bundle import ImageRules
from records.evidence.inspection import inspected

SIDE_PIXELS = 560
QUALITY = 78
MOST_PIXELS = 120_000_000
PICTURES = frozenset({"image/jpeg", "image/png", "image/webp"})
HEIC = "image/heic"
HEIC_RULES = ImageRules(max_bytes=0, max_pixels=40_000_000, thumbnail_pixels=SIDE_PIXELS)


def thumbnail(content: bytes, content_type: str | None) -> bytes | None:
    """Return a JPEG, upright and without metadata; None for what is no picture we can show."""
    if content_type == HEIC:
        return _of_heic(content)
    if content_type is not None and content_type not in PICTURES:
        return None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            return _shrunk(content)
    except (UnidentifiedImageError, OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return None


def _shrunk(content: bytes) -> bytes | None:
    with Image.open(BytesIO(content), formats=("JPEG", "PNG", "WEBP")) as picture:
        if picture.width * picture.height > MOST_PIXELS:
            return None
        picture.draft("RGB", (SIDE_PIXELS, SIDE_PIXELS))
        upright = ImageOps.exif_transpose(picture).convert("RGB")
    upright.thumbnail((SIDE_PIXELS, SIDE_PIXELS))
    small = BytesIO()
    upright.save(small, "JPEG", quality=QUALITY)
    return small.getvalue()


def _of_heic(content: bytes) -> bytes | None:
    with TemporaryFile() as file:
        file.write(content)
        file.seek(0)
        return inspected(file, HEIC, HEIC_RULES)[1]
