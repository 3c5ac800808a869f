"""What a caller would rather get: the Accept header."""

import math
from collections.abc import Iterator, Mapping, Sequence


def ranked(accept: str, offered: Sequence[str]) -> str:
    """Return which of the offered media types a header ranks highest; the first if none."""
    ranges = dict(_ranges(accept))
    quality = {media_type: _quality(ranges, media_type) for media_type in offered}
    best = max(quality, key=lambda media_type: quality[media_type])
    return best if quality[best] > quality[offered[0]] else offered[0]


def _ranges(accept: str) -> Iterator[tuple[str, float]]:
    for item in accept.split(","):
        media_range, *parameters = (part.strip() for part in item.split(";"))
        qualities = [_number(each[2:]) for each in parameters if each.lower().startswith("q=")]
        yield media_range.lower(), qualities[0] if qualities else 1.0


def _number(text: str) -> float:
    try:
        quality = float(text)
    except ValueError:
        return 0.0
    return quality if math.isfinite(quality) else 0.0


def _quality(ranges: Mapping[str, float], media_type: str) -> float:
    """Return the quality of the most specific range that covers a media type."""
    for media_range in (media_type, f"{media_type.partition('/')[0]}/*", "*/*"):
        if media_range in ranges:
            return ranges[media_range]
    return 0.0
