"""Decodes images in a process of its own: hostile bytes may kill it, and nothing else.

`python -m records.evidence.decoding MAX_PIXELS THUMBNAIL_PIXELS` reads one image after the other
from standard input: a line with its type and its size in bytes, then the bytes. It answers with
what the image shows as a line of JSON, then the size of a JPEG thumbnail on a line and the JPEG.
The size is 0 for an image that cannot be read, -1 for one that is too large to be decoded.
"""

import io
import json
import resource
import sys
import time
import warnings
from collections.abc import Mapping
from contextlib import suppress
from datetime import datetime, timedelta
from importlib import import_module
from typing import IO, Any

from PIL import ExifTags, Image, ImageOps

FORMATS = {"image/jpeg": "JPEG", "image/png": "PNG", "image/webp": "WEBP", "image/heic": "HEIF"}
QUALITY = 80
COORDINATE_DIGITS = 6
MODULES = (
    *("BmpImagePlugin", "GifImagePlugin", "PpmImagePlugin"),  # which Pillow always loads
    *("JpegImagePlugin", "MpoImagePlugin", "PngImagePlugin", "WebPImagePlugin"),
    "TiffImagePlugin",  # reads EXIF
)
CPU_SECONDS = 10
"""For one image."""
MEMORY_BYTES = 512 << 20
"""Above what 40 million pixels take, but for a WebP with transparency; it goes without."""
LIMITS = {
    resource.RLIMIT_AS: MEMORY_BYTES,
    resource.RLIMIT_FSIZE: 0,
    resource.RLIMIT_CORE: 0,
}


def main() -> None:
    """Decode within the limits of a process that serves nothing else."""
    max_pixels, thumbnail_pixels = map(int, sys.argv[1:])
    _load()
    for limit, value in LIMITS.items():
        with suppress(ValueError, OSError):  # not every system knows every limit
            resource.setrlimit(limit, (value, value))
    warnings.simplefilter("ignore")  # of huge images, which are not decoded
    out = sys.stdout.buffer
    while head := sys.stdin.buffer.readline():
        content_type, size_bytes = head.split()
        content = io.BytesIO(sys.stdin.buffer.read(int(size_bytes)))
        _limit_cpu()
        size, thumbnail = _shown(content, content_type.decode(), max_pixels, thumbnail_pixels)
        out.write(b"\n%d\n%s" % (size, thumbnail))
        out.flush()


def _load() -> None:
    """Load what images need while nothing is limited: without .pyc files it is compiled first."""
    for name in MODULES:
        import_module(f"PIL.{name}")
    with suppress(ImportError):
        _register_heif()


def _shown(
    content: IO[bytes], content_type: str, max_pixels: int, thumbnail_pixels: int
) -> tuple[int, bytes]:
    """Write what an image shows; return its thumbnail. Nothing of it is held afterwards."""
    # An image that cannot be read has no thumbnail, and the next one is read all the same.
    with suppress(Exception), Image.open(content, formats=[FORMATS[content_type]]) as image:
        seen: dict[str, Any] = {"image": {"width": image.width, "height": image.height}}
        is_small = _is_small(image, max_pixels, thumbnail_pixels)
        with suppress(Exception):
            # To ask a PNG itself decodes it, since its metadata may follow its pixels.
            seen |= _taken(image.getexif() if is_small else Image.Image.getexif(image))
        sys.stdout.buffer.write(json.dumps(seen).encode())
        sys.stdout.buffer.flush()  # whatever comes of the rest
        if not is_small:
            return -1, b""
        thumbnail = _thumbnail(image, thumbnail_pixels)
        return len(thumbnail), thumbnail
    return 0, b""


def _limit_cpu() -> None:
    """Give the next image its share of processor time."""
    ends = int(time.process_time()) + CPU_SECONDS + 1
    with suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_CPU, (ends, resource.getrlimit(resource.RLIMIT_CPU)[1]))


def _register_heif() -> None:
    """Let Pillow open HEIC; its decoder is installed only where its licence is accepted."""
    from pillow_heif import register_heif_opener  # noqa: PLC0415

    register_heif_opener(decode_threads=1, depth_images=False, aux_images=False)


def _is_small(image: Image.Image, max_pixels: int, thumbnail_pixels: int) -> bool:
    """Whether so many pixels may be decoded; a JPEG is decoded at a fraction of its size."""
    image.draft("RGB", (2 * thumbnail_pixels, 2 * thumbnail_pixels))
    return image.width * image.height <= max_pixels


def _thumbnail(image: Image.Image, thumbnail_pixels: int) -> bytes:
    """Return a JPEG, upright, transparency on white, without metadata."""
    small = _coloured(image)
    small.thumbnail((thumbnail_pixels, thumbnail_pixels))
    if small.mode == "RGBA":
        ground = Image.new("RGBA", small.size, "white")
        ground.alpha_composite(small)
        ground.info = small.info
        small = ground
    written = io.BytesIO()
    ImageOps.exif_transpose(small).convert("RGB").save(written, "JPEG", quality=QUALITY)
    return written.getvalue()


def _coloured(image: Image.Image) -> Image.Image:
    """Return an image in colours that can be averaged, with alpha if anything shines through."""
    mode = "RGBA" if image.has_transparency_data else "RGB"
    if image.mode == mode:
        return image
    if image.mode.startswith("I"):  # 16 bits of grey, of which a conversion would keep the lowest
        return image.point(lambda value: value / 256).convert("L").convert("RGB")
    return image.convert(mode)


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
