"""Texts of others on a terminal or in a log: they are read there, and steer nothing."""

import re

# The control characters but tab and line feed (ESC, CSI and their like steer a terminal), and what
# turns the direction of writing around or breaks a line without being one.
_STEERING = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff]"
)


def printable(text: str) -> str:
    """Return `text` without the characters that steer a terminal; tabs and line feeds stay."""
    return _STEERING.sub("", text)


def on_one_line(text: str) -> str:
    """Return `text` as `printable` does, and unable to pass for a line of its own."""
    return printable(text.replace("\n", "\\n"))


def escaped(document: str) -> str:
    """Return a JSON document that says the same and holds none of those characters."""
    return _STEERING.sub(lambda match: f"\\u{ord(match[0]):04x}", document)
