"""Decodes one image in a process of its own: hostile bytes may kill it, and nothing else.

`python -m records.evidence.decoding TYPE MAX_PIXELS THUMBNAIL_PIXELS` reads the image from standard
input, a file, and writes what it shows as a line of JSON, then a JPEG thumbnail if it can be made.
"""

import io
import json
import resource
import sys
import warnings
from collections.abc import Mapping
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Any

from PIL import ExifTags, Image, ImageOps

FORMATS = {"image/jpeg": "JPEG", "image/png": "PNG", "image/webp": "WEBP", "image/heic": "HEIF"}
QUALITY = 80
COORDINATE_DIGITS = 6
CPU_SECONDS = 10
MEMORY_BYTES = 768 << 20
"""Twice what a HEIC of 40 million pixels takes; with the worker beside it still below 1 GiB."""
LIMITS = {
    resource.RLIMIT_AS: MEMORY_BYTES,
    resource.RLIMIT_CPU: CPU_SECONDS,
    resource.RLIMIT_FSIZE: 0,
    resource.RLIMIT_CORE: 0,
}


def main() -> None:
    """Decode within the limits of a process that serves nothing else."""
    content_type, max_pixels, thumbnail_pixels = sys.argv[1:]
    for limit, value in LIMITS.items():
        with suppress(ValueError, OSError):  # not every system knows every limit
            resource.setrlimit(limit, (value, value))
    warnings.simplefilter("ignore")  # of huge images, which are not decoded
    image_format = FORMATS[content_type]
    if image_format == "HEIF":
        _register_heif()
    out = sys.stdout.buffer
    with Image.open(sys.stdin.buffer, formats=[image_format]) as image:
        out.write(json.dumps(_seen(image)).encode() + b"\n")
        out.flush()  # whatever comes of the rest
        if image.width * image.height <= int(max_pixels):
            out.write(_thumbnail(image, int(thumbnail_pixels)))


def _register_heif() -> None:
    """Let Pillow open HEIC; its decoder is installed only where its licence is accepted."""
    from pillow_heif import register_heif_opener  # noqa: PLC0415

    register_heif_opener(decode_threads=1, depth_images=False, aux_images=False)


def _seen(image: Image.Image) -> dict[str, Any]:
    seen: dict[str, Any] = {"image": {"width": image.width, "height": image.height}}
    with suppress(Exception):
        seen |= _taken(image.getexif())
    return seen


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
    return (local - zone).isoformat(timespec="milliseconds") + "Z"


def _degrees(place: Mapping[int, Any], value: int, reference: int, negative: str) -> float:
    degrees, minutes, seconds = (float(each) for each in place[value])
    angle = round(degrees + minutes / 60 + seconds / 3600, COORDINATE_DIGITS)
    if angle != angle:  # noqa: PLR0124  not a number
        raise ValueError("not an angle")
    return -angle if str(place[reference]).strip("\0 ").upper() == negative else angle


if __name__ == "__main__":
    main()
