"""Any text as the paragraphs of a page: what direction, which language, and nothing unshown."""

import re
import unicodedata
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import Final

from records.dossier.fonts import FIRST, family, habit

Text = dict[str, object]
"""Paragraphs and the style that they are set in, as `page.typ` reads it."""

ELLIPSIS: Final = "\u2026"
BREAK: Final = "\u200b"
_ENDS: Final = re.compile("\r\n|[\n\r\x0b\x0c\x85\u2028\u2029]")
# No rule of line breaking ends a line in these: a space does not, between brackets or bars; and a
# script without spaces has its words from a dictionary, in which such a run is not.
_ENDLESS: Final = re.compile(r"(.)\1{15,}|[\W_]{16,}", re.DOTALL)
_WITHOUT_SPACES: Final = re.compile("[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff]{120,}")
_STRONG: Final = {"L": False, "R": True, "AL": True}
# By the first word of a character's name, which is its script. Only what a voice would read
# wrongly, or a font draws otherwise: a script does not tell a language.
_LANGUAGES: Final = {
    "ARABIC": "ar",
    "ARMENIAN": "hy",
    "BENGALI": "bn",
    "CYRILLIC": "ru",
    "DEVANAGARI": "hi",
    "ETHIOPIC": "am",
    "GEORGIAN": "ka",
    "GREEK": "el",
    "GUJARATI": "gu",
    "GURMUKHI": "pa",
    "HEBREW": "he",
    "KANNADA": "kn",
    "KHMER": "km",
    "LAO": "lo",
    "MALAYALAM": "ml",
    "MYANMAR": "my",
    "ORIYA": "or",
    "SINHALA": "si",
    "TAMIL": "ta",
    "TELUGU": "te",
    "THAI": "th",
    "HIRAGANA": "ja",
    "KATAKANA": "ja",
    "HANGUL": "ko",
    "CJK": "zh",
}
_SAMPLE: Final = 400
MOST_MARKS: Final = 6
"""Of one character, itself included."""


def says(value: object, style: str = "body") -> Text:
    """Return a value as text in a style of `page.typ`; nothing is a dash."""
    shown = "-" if value is None else str(value)
    lines = [(line, is_leftward(line), language(line)) for line in _ENDS.split(shown)]
    paragraphs: list[object] = [
        _paragraph([line for line, *_ in grouped], leftward=leftward, spoken=spoken)
        for (leftward, spoken), grouped in groupby(lines, key=lambda line: line[1:])
    ]
    return {"paragraphs": paragraphs, "style": style}


def _paragraph(lines: Sequence[str], *, leftward: bool, spoken: str) -> object:
    """Return lines of one direction and language, with the fonts that they need."""
    parts = [part for line in lines for part in (*_parts(line.replace("\t", "    ")), ("\n", None))]
    fonts = dict.fromkeys([FIRST, *sorted({font for _, font in parts if font})])
    return {
        "text": _with_breaks("".join(text for text, _ in parts[:-1])),
        "fonts": [habit(font, spoken) for font in fonts],
        "leftward": leftward,
        "language": spoken,
    }


def cut(text: str, most: int, lines: int | None = None) -> str:
    """Return the beginning of a text: at most so many characters and lines."""
    every = _ENDS.split(text)
    shown, whole = "\n".join(every[:lines])[:most], "\n".join(every)
    return shown if shown == whole else f"{shown.rstrip()}{ELLIPSIS}"


def plain(text: str) -> str:
    """Return text in which each character is seen: what no font has stands as its code point.

    The exact text is in the machine-readable members of the dossier.
    """
    return "".join(shown for shown, _ in _parts(text))


def _parts(text: str) -> Iterator[tuple[str, str | None]]:
    """Yield what is shown of a text, piece by piece, and the font of each; None is the first."""
    if text.isascii() and text.isprintable():
        yield text, None
        return
    for cluster in _clusters(text):
        font = family(cluster)
        if font and len(cluster) <= MOST_MARKS:
            yield cluster, font
            continue
        base = cluster[0]
        font = family(base)
        yield (base if font else _code(base)), font
        # A pile of marks would grow over the lines above; others have no font with their base.
        yield "".join(map(_code, cluster[1:])), None


def _clusters(text: str) -> Iterator[str]:
    """Yield each character with the marks that stand on it."""
    cluster = ""
    for each in text:
        if cluster and not unicodedata.category(each).startswith("M"):
            yield cluster
            cluster = ""
        cluster += each
    if cluster:
        yield cluster


def _code(character: str) -> str:
    return f"[U+{ord(character):04X}]"


def is_leftward(line: str) -> bool:
    """Whether a line is read from right to left: its first letter says so."""
    kinds = (_STRONG.get(unicodedata.bidirectional(each)) for each in line)
    return next((kind for kind in kinds if kind is not None), False)


def language(line: str) -> str:
    """Return the language that the script of most letters stands for."""
    if line.isascii():
        return "en"
    scripts = Counter(
        _LANGUAGES.get(unicodedata.name(each, "").partition(" ")[0], "en")
        for each in line[:_SAMPLE]
        if each.isalpha()
    )
    if scripts["ja"] and scripts["zh"]:  # Chinese characters among syllables are Japanese
        return "ja"
    return scripts.most_common(1)[0][0] if scripts else "en"


def _with_breaks(text: str) -> str:
    return _WITHOUT_SPACES.sub(_breakable, _ENDLESS.sub(_breakable, text))


def _breakable(run: re.Match[str]) -> str:
    """Return a run that may be broken before every character but a mark."""
    return "".join(
        each if unicodedata.combining(each) or unicodedata.category(each) == "Mn" else BREAK + each
        for each in run[0]
    )
