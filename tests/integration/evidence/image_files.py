"""Images as a camera makes them, for the tests of evidence."""

import io
import struct
import zlib
from typing import Any

from PIL import ExifTags, Image
from pillow_heif import register_heif_opener

register_heif_opener()

TAKEN = {
    "captured_at": "2026-11-20T17:30:00.000Z",
    "location": {"latitude": 37.804361, "longitude": -122.271111},
}


def photo(width: int = 640, height: int = 480, image_format: str = "JPEG") -> bytes:
    """Return a picture, taken in Oakland on a November morning."""
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 1
    details: dict[int, Any] = {
        ExifTags.Base.DateTimeOriginal: "2026:11:20 09:30:00",
        ExifTags.Base.OffsetTimeOriginal: "-08:00",
    }
    place: dict[int, Any] = {
        ExifTags.GPS.GPSLatitudeRef: "N",
        ExifTags.GPS.GPSLatitude: (37.0, 48.0, 15.7),
        ExifTags.GPS.GPSLongitudeRef: "W",
        ExifTags.GPS.GPSLongitude: (122.0, 16.0, 16.0),
    }
    exif[ExifTags.IFD.Exif] = details
    exif[ExifTags.IFD.GPSInfo] = place
    written = io.BytesIO()
    Image.new("RGB", (width, height), (40, 90, 160)).save(written, image_format, exif=exif)
    return written.getvalue()


def png(width: int, height: int, rows: bytes) -> bytes:
    """Return a PNG in colours whose rows, compressed, are these."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        checksum = zlib.crc32(kind + content)
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", checksum)

    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


def plane(width: int, height: int) -> bytes:
    """Return a whole PNG, all black, which is small for what it unfolds to."""
    packer = zlib.compressobj(9)
    rows = b"".join(packer.compress(bytes(1 + 3 * width)) for _ in range(height))
    return png(width, height, rows + packer.flush())
