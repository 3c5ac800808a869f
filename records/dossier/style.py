"""How the packet looks: colours, type, and the table of every section."""

import unicodedata
from collections.abc import Sequence
from typing import Any, Final
from xml.sax.saxutils import escape

from reportlab.lib.colors import HexColor
from reportlab.lib.enums import TA_RIGHT
from reportlab.lib.styles import ParagraphStyle
from reportlab.lib.units import mm
from reportlab.pdfbase import pdfmetrics
from reportlab.pdfbase.ttfonts import TTFont
from reportlab.platypus import Flowable, Paragraph, Spacer, Table, TableStyle

REGULAR: Final = "Vera"
STRONG: Final = "VeraBd"
# They come with the library and are embedded, so that pages look alike everywhere.
_FACES: Final = [TTFont(name, f"{name}.ttf") for name in (REGULAR, STRONG)]
for _face in _FACES:
    pdfmetrics.registerFont(_face)
_GLYPHS: Final = frozenset(_FACES[0].face.charToGlyph)

INK: Final = HexColor("#1d2733")
MUTED: Final = HexColor("#66727f")
LINE: Final = HexColor("#dbe1e7")
TINT: Final = HexColor("#f4f7f9")
ACCENT: Final = HexColor("#0f6e6e")
BAND: Final = HexColor("#12303f")
GOOD: Final = "#1c7c45"
BAD: Final = "#b3261e"

BODY: Final = ParagraphStyle("body", fontName=REGULAR, fontSize=9, leading=12, textColor=INK)
BOLD: Final = ParagraphStyle("bold", BODY, fontName=STRONG)
AMOUNT: Final = ParagraphStyle("amount", BODY, alignment=TA_RIGHT)
TOTAL: Final = ParagraphStyle("total", BOLD, alignment=TA_RIGHT)
SMALL: Final = ParagraphStyle("small", BODY, fontSize=7.5, leading=10, textColor=MUTED)
LABEL: Final = ParagraphStyle("label", SMALL, fontName=STRONG, fontSize=7, leading=9)
CODE: Final = ParagraphStyle(
    "code", SMALL, fontName="Courier", fontSize=6.4, leading=8, splitLongWords=True
)
RIGHT_LABEL: Final = ParagraphStyle("right-label", LABEL, alignment=TA_RIGHT)
HEADING: Final = ParagraphStyle(
    "heading",
    BOLD,
    fontSize=12,
    leading=15,
    textColor=ACCENT,
    spaceBefore=5 * mm,
    spaceAfter=1.5 * mm,
    keepWithNext=True,
)

_LISTING: Final = TableStyle(
    [
        ("VALIGN", (0, 0), (-1, -1), "TOP"),
        ("LINEBELOW", (0, 0), (-1, -1), 0.5, LINE),
        ("BACKGROUND", (0, 0), (-1, 0), TINT),
        ("TOPPADDING", (0, 0), (-1, -1), 3),
        ("BOTTOMPADDING", (0, 0), (-1, -1), 3.5),
        ("LEFTPADDING", (0, 0), (-1, -1), 4),
        ("RIGHTPADDING", (0, 0), (-1, -1), 4),
    ]
)
_CARD: Final = TableStyle(
    [
        ("VALIGN", (0, 0), (-1, -1), "TOP"),
        ("BOX", (0, 0), (-1, -1), 0.6, LINE),
        ("BACKGROUND", (0, 0), (-1, -1), TINT),
        ("TOPPADDING", (0, 0), (-1, -1), 2),
        ("BOTTOMPADDING", (0, 0), (-1, -1), 2),
        ("LEFTPADDING", (0, 0), (-1, -1), 7),
    ]
)


def plain(value: object) -> str:
    """Return text that the fonts can show; what they cannot becomes a question mark.

    The exact text is in the machine-readable members of the dossier.
    """
    text = unicodedata.normalize("NFKC", "" if value is None else str(value))
    return "".join(each if ord(each) in _GLYPHS or each == "\n" else "?" for each in text)


def says(value: object, style: ParagraphStyle = BODY) -> Paragraph:
    """Return plain text as a paragraph."""
    shown = "-" if value is None else plain(value)
    return Paragraph(escape(shown).replace("\n", "<br/>"), style)


class Mark(Flowable):
    """A check mark, or a cross."""

    def __init__(self, *, good: bool) -> None:
        super().__init__()
        self._good = good
        self.width = self.height = 3 * mm

    def draw(self) -> None:
        """Draw it."""
        side = self.width
        self.canv.setLineWidth(1.3)
        self.canv.setStrokeColor(HexColor(GOOD if self._good else BAD))
        if self._good:
            strokes = [(0.1, 0.45, 0.4, 0.15), (0.4, 0.15, 0.95, 0.85)]
        else:
            strokes = [(0.15, 0.15, 0.85, 0.85), (0.15, 0.85, 0.85, 0.15)]
        self.canv.lines([tuple(part * side for part in stroke) for stroke in strokes])


def section(title: str, *parts: Flowable) -> list[Flowable]:
    """Return a titled section."""
    return [Paragraph(escape(title), HEADING), *parts]


def listing(
    heads: Sequence[str], rows: Sequence[list[Any]], widths: Sequence[float], amounts: int = 0
) -> Table:
    """Return a table under a row of heads, which is repeated on every page.

    The last `amounts` columns hold amounts, which are aligned to the right.
    """
    styles = [LABEL] * (len(heads) - amounts) + [RIGHT_LABEL] * amounts
    head = [says(text.upper(), style) for text, style in zip(heads, styles, strict=True)]
    cells = [head, *rows]
    table = Table(cells, colWidths=list(widths), repeatRows=1)
    table.setStyle(_LISTING)
    return table


def card(facts: Sequence[tuple[str, object]], width: float) -> Table:
    """Return labelled facts, one below the other, in a tinted box."""
    cells = [
        [[says(label.upper(), LABEL), _value(value), Spacer(0, 1)]]
        for label, value in facts
        if value
    ]
    table = Table(cells or [[""]], colWidths=[width])
    table.setStyle(_CARD)
    return table


def side_by_side(
    left: Sequence[tuple[str, object]], right: Sequence[tuple[str, object]], width: float
) -> Table:
    """Return two cards beside each other."""
    half, gap = width / 2, 2 * mm
    cells = [[card(left, half - gap), card(right, half - gap)]]
    both = Table(cells, colWidths=[half + gap, half - gap])
    both.setStyle(
        TableStyle(
            [
                ("VALIGN", (0, 0), (-1, -1), "TOP"),
                ("LEFTPADDING", (0, 0), (-1, -1), 0),
                ("RIGHTPADDING", (0, 0), (-1, -1), 0),
            ]
        )
    )
    return both


def _value(value: object) -> Paragraph:
    return value if isinstance(value, Paragraph) else says(value)


def dollars(cents: int) -> str:
    """Return an amount of US dollars."""
    return f"${cents // 100:,}.{cents % 100:02d}"
