"""The fonts of the pages: Noto, out of two packages that carry nothing else, and what they show."""

import unicodedata
from functools import cache
from importlib.resources import files
from typing import Final

import typst
import uharfbuzz

PACKAGES: Final = ("manimgx_fonts", "manimgx_fonts_cjk")
FIRST: Final = "Noto Sans"
LAST: Final = "Noto Emoji"
HAN: Final = "Noto Sans CJK"
"""One font of four habits of writing the same characters; the family's last word tells which."""
HABITS: Final = {"ja": "JP", "ko": "KR", "zh": "SC"}

_FOLDERS: Final = [str(files(package)) for package in PACKAGES]
# They are not seen themselves, but in what stands beside them: joiners, variants, directions.
_SERVING: Final = frozenset(
    "\u00ad\u061c\u200b\u200c\u200d\u200e\u200f\u2060\u2066\u2067\u2068\u2069\u202a\u202b\u202c"
    + "".join(map(chr, range(0xFE00, 0xFE10)))
)
# Arabic signs that span numbers are of the category of invisible ones.
_SPANNING: Final = frozenset("\u0600\u0601\u0602\u0603\u0604\u0605\u06dd")
# Blank by themselves, or (the last one) wider than any column.
_UNFIT: Final = frozenset("\u115f\u1160\u3164\uffa0\u2800\ufdfd")
_UNSEEN: Final = frozenset({"Cc", "Cf", "Cn", "Co", "Cs"})


@cache
def faces() -> typst.Fonts:
    """Return the faces for the typesetter; those of the system are not among them."""
    return typst.Fonts(include_system_fonts=False, font_paths=_FOLDERS)


@cache
def _glyphs() -> dict[str, frozenset[int]]:
    """Return the code points that each family has glyphs for, the first first; takes 20 ms."""
    paths = {font.family: str(font.path) for font in faces().fonts() if font.path}
    han = [family for family in paths if family.startswith(HAN)]
    paths = {family: path for family, path in paths.items() if family not in han} | {
        HAN: paths[han[0]]
    }
    return {
        family: frozenset(uharfbuzz.Face(uharfbuzz.Blob.from_file_path(paths[family])).unicodes)
        for family in sorted(paths, key=lambda name: (name != FIRST, name == LAST, name))
    }


def family(characters: str) -> str | None:
    """Return the first family that shows these characters together, None if none does.

    A mark is drawn with what it stands on, out of one font.
    """
    needed = {ord(each) for each in characters if each not in _SERVING}
    if len(needed) == len(characters) == 1:
        return _family(characters)
    if not all(each in _SERVING or _family(each) for each in characters):
        return None
    return next((name for name, glyphs in _glyphs().items() if needed <= glyphs), None)


@cache
def _family(character: str) -> str | None:
    if character in _UNFIT:
        return None
    if unicodedata.category(character) in _UNSEEN and character not in _SPANNING:
        return None
    return next((name for name, glyphs in _glyphs().items() if ord(character) in glyphs), None)


def habit(family_name: str, language: str) -> str:
    """Return the family as a language is used to see it."""
    return f"{HAN} {HABITS.get(language, 'SC')}" if family_name == HAN else family_name
