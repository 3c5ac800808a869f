"""What an image shows of itself: dimensions, when and where it was taken, and a thumbnail."""

import io
import threading
import warnings
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import IO, Any

from PIL import ExifTags, Image, ImageOps

from policy.bundle import ImageRules
from policy.values import format_datetime

# What the decoders of these formats raise on hostile bytes is not one family.
FORMATS = {"image/jpeg": "JPEG", "image/png": "PNG", "image/webp": "WEBP"}
QUALITY = 80
COORDINATE_DIGITS = 6
# One image is decoded at a time: the memory of a process is bounded by the largest.
_decoding = threading.Lock()


def inspected(
    file: IO[bytes], content_type: str, rules: ImageRules
) -> tuple[dict[str, Any], bytes | None]:
    """Return what an image shows, and a JPEG thumbnail; nothing of what cannot be read.

    Only the header is read of an image with more pixels than the rules allow.
    """
    with _decoding, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of huge images, which are not decoded
        try:
            return _inspected(file, FORMATS[content_type], rules)
        except Exception:  # noqa: BLE001  an image that no decoder takes is kept all the same
            return {}, None


def _inspected(
    file: IO[bytes], image_format: str, rules: ImageRules
) -> tuple[dict[str, Any], bytes | None]:
    with Image.open(file, formats=[image_format]) as image:
        width, height = image.size
        seen: dict[str, Any] = {"image": {"width": width, "height": height}}
        with suppress(Exception):
            seen |= _taken(image.getexif())
        if width * height > rules.max_pixels:
            return seen, None
        with suppress(Exception):
            return seen, _thumbnail(image, rules.thumbnail_pixels)
    return seen, None


def _thumbnail(image: Image.Image, pixels: int) -> bytes:
    image.draft("RGB", (2 * pixels, 2 * pixels))  # a JPEG is decoded at a fraction of its size
    image.thumbnail((pixels, pixels))
    upright = ImageOps.exif_transpose(image).convert("RGB")
    written = io.BytesIO()
    upright.save(written, "JPEG", quality=QUALITY)
    return written.getvalue()


def _taken(exif: Image.Exif) -> dict[str, Any]:
    details = exif.get_ifd(ExifTags.IFD.Exif)
    place = exif.get_ifd(ExifTags.IFD.GPSInfo)
    found: dict[str, Any] = {}
    with suppress(LookupError, TypeError, ValueError):
        found["captured_at"] = _instant(details)
    with suppress(LookupError, TypeError, ValueError, ZeroDivisionError):
        latitude = _degrees(place, ExifTags.GPS.GPSLatitude, ExifTags.GPS.GPSLatitudeRef, "S")
        longitude = _degrees(place, ExifTags.GPS.GPSLongitude, ExifTags.GPS.GPSLongitudeRef, "W")
        if abs(latitude) <= 90 and abs(longitude) <= 180:  # noqa: PLR2004  the globe
            found["location"] = {"latitude": latitude, "longitude": longitude}
    return found


def _instant(details: Mapping[int, Any]) -> str:
    """Return when the picture was taken; in UTC if the camera knew its offset, else as it said."""
    text = str(details[ExifTags.Base.DateTimeOriginal]).rstrip("\0 ")
    local = datetime.strptime(text, "%Y:%m:%d %H:%M:%S")  # noqa: DTZ007  the offset is apart
    offset = str(details.get(ExifTags.Base.OffsetTimeOriginal, "")).rstrip("\0 ")
    if not offset:
        return local.isoformat()
    zone = datetime.strptime(offset, "%z").utcoffset() or timedelta(0)
    return format_datetime((local - zone).replace(tzinfo=UTC))


def _degrees(place: Mapping[int, Any], value: int, reference: int, negative: str) -> float:
    degrees, minutes, seconds = (float(each) for each in place[value])
    angle = round(degrees + minutes / 60 + seconds / 3600, COORDINATE_DIGITS)
    if angle != angle:  # noqa: PLR0124  not a number
        raise ValueError("not an angle")
    return -angle if str(place[reference]).strip("\0 ").upper() == negative else angle
