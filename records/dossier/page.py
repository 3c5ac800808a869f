"""What a page is made of, as data: `page.typ` says how it looks, the typesetter sets it."""

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from records.dossier.text import Text, cut, says

Block = dict[str, object]
Fact = tuple[str, object]
"""A label and what it labels: a `Text`, or any value. Facts of nothing are left out."""

LETTER_COUNTRIES = frozenset({"US", "CA"})
TITLE, SUBTITLE, RUNNING = 300, 160, 100


class Letterhead(NamedTuple):
    """What stands on every page; the first one has a band across its head."""

    kind: str
    title: str
    subtitle: str
    badge: str
    foot: str

    def texts(self) -> dict[str, object]:
        """Return the texts; what is said in full below is cut here."""
        return {
            "kind": self.kind,
            "title": says(cut(self.title, TITLE, 1), "title"),
            "subtitle": says(cut(self.subtitle, SUBTITLE, 1), "subtitle"),
            "badge": says(cut(self.badge, RUNNING, 1).upper(), "badge"),
            "running": says(cut(f"{self.kind.upper()}   {self.title}", RUNNING, 1), "running"),
            "foot": says(cut(self.foot, RUNNING, 1), "foot"),
        }


class Page(NamedTuple):
    """A whole paper. `pictures` are JPEGs by the names that blocks use; `made_at` is an instant."""

    paper: str
    letterhead: Letterhead
    made_at: str
    blocks: Sequence[Block]
    pictures: Mapping[str, bytes]


def paper(country: str) -> str:
    """Return the paper that people use there."""
    return "us-letter" if country.upper() in LETTER_COUNTRIES else "a4"


def heading(title: str) -> Block:
    """Return the title of a section."""
    return {"block": "heading", "text": title}


def note(value: object, style: str = "small") -> Block:
    """Return a paragraph."""
    return {"block": "note", "text": says(value, style)}


def listing(
    heads: Sequence[str], shares: Sequence[int], rows: Iterable[Sequence[Text]], amounts: int = 0
) -> Block:
    """Return a table under a row of heads, which is repeated on every page.

    `shares` are the columns' percent of the width; the last `amounts` columns hold amounts, which
    are aligned to the right.
    """
    return {
        "block": "listing",
        "heads": [says(head.upper(), "label") for head in heads],
        "shares": list(shares),
        "amounts": amounts,
        "rows": [list(row) for row in rows],
    }


def cards(*beside: Sequence[Fact]) -> Block:
    """Return labelled facts in tinted boxes, one beside the other."""
    return {
        "block": "cards",
        "cards": [[_fact(*each) for each in card if each[1]] for card in beside],
    }


def tiles(each: Sequence[Block], across: int) -> Block:
    """Return tiles, so many in a row."""
    return {"block": "tiles", "across": across, "tiles": list(each)}


def totals(rows: Iterable[tuple[object, object]]) -> Block:
    """Return sums under each other, the last of them under a line."""
    *parts, last = [[says(name), says(amount)] for name, amount in rows]
    return {"block": "totals", "rows": [*parts, [_strong(text) for text in last]]}


def _strong(text: Text) -> Text:
    return {**text, "style": "strong"}


def _fact(label: str, value: object) -> object:
    return {
        "label": says(label.upper(), "label"),
        "text": value if isinstance(value, dict) else says(value),
    }
