"""The packet: the dossier's pages for people, as PDF. The same record makes the same bytes."""

from collections.abc import Sequence
from io import BytesIO

from reportlab.lib.colors import white
from reportlab.lib.pagesizes import A4, LETTER
from reportlab.lib.units import mm
from reportlab.pdfgen.canvas import Canvas
from reportlab.platypus import BaseDocTemplate, Flowable, Frame, NextPageTemplate, PageTemplate

from policy.dossier.manifest import Record
from records.dossier import sections
from records.dossier.style import ACCENT, BAND, LINE, MUTED, REGULAR, STRONG, plain
from records.dossier.thumbnails import Picture
from records.dossier.wording import Clock, words

MARGIN = 16 * mm
BAND_HEIGHT = 32 * mm
LETTER_COUNTRIES = frozenset({"US", "CA"})


def page_size(country: str) -> tuple[float, float]:
    """Return the paper that people use there."""
    return LETTER if country.upper() in LETTER_COUNTRIES else A4


def render_packet(record: Record, shown: Sequence[Picture]) -> bytes:
    """Return the PDF."""
    clock = Clock(record.site["timezone"])
    size = page_size(record.site["country"])
    width = size[0] - 2 * MARGIN
    story: list[Flowable] = [
        NextPageTemplate("further"),
        *sections.overview(record, clock, width),
        *sections.service_level(record, clock, width),
        *sections.timeline(record, clock, width),
        *sections.approvals(record, clock, width),
        *sections.checklist(record, width),
        *sections.evidence(shown, clock, width),
        *sections.signatures(record, shown, clock, width),
        *sections.integrity(record, width),
    ]
    return document(
        story,
        size,
        Letterhead(
            kind="Service closeout dossier",
            title=record.account["name"],
            subtitle=record.ticket["summary"],
            badge=words(record.ticket["state"].lower()),
            foot=f"Ticket {record.ticket['id']}, as of {clock.show(record.as_of)}",
        ),
    )


class Letterhead:
    """What stands on every page; the first one has a band across its head."""

    def __init__(self, *, kind: str, title: str, subtitle: str, badge: str, foot: str) -> None:
        self.kind = plain(kind)
        self.title = plain(title)
        self._subtitle = plain(subtitle)
        self._badge = plain(badge)
        self._foot = plain(foot)

    def first(self, canvas: Canvas, doc: BaseDocTemplate) -> None:
        """Draw the first page's head and foot."""
        width, height = doc.pagesize
        canvas.setFillColor(BAND)
        canvas.rect(0, height - BAND_HEIGHT, width, BAND_HEIGHT, stroke=0, fill=1)
        canvas.setFillColor(ACCENT)
        canvas.rect(0, height - BAND_HEIGHT - 1.2 * mm, width, 1.2 * mm, stroke=0, fill=1)
        canvas.setFillColor(white)
        canvas.setFont(STRONG, 8)
        canvas.drawString(MARGIN, height - 11 * mm, self.kind.upper(), charSpace=1.2)
        canvas.setFont(STRONG, 19)
        canvas.drawString(MARGIN, height - 19.5 * mm, _cut(self.title, 40))
        canvas.setFont(REGULAR, 10)
        canvas.drawString(MARGIN, height - 26 * mm, _cut(self._subtitle, 80))
        badge = self._badge.upper()
        across = canvas.stringWidth(badge, STRONG, 9) + 8 * mm
        left, low = width - MARGIN - across, height - 21 * mm
        canvas.setFillColor(ACCENT)
        canvas.roundRect(left, low, across, 8 * mm, 4 * mm, stroke=0, fill=1)
        canvas.setFillColor(white)
        canvas.setFont(STRONG, 9)
        canvas.drawCentredString(left + across / 2, low + 2.7 * mm, badge)
        self._footer(canvas, doc)

    def further(self, canvas: Canvas, doc: BaseDocTemplate) -> None:
        """Draw a later page's head and foot."""
        width, height = doc.pagesize
        canvas.setFillColor(MUTED)
        canvas.setFont(STRONG, 7.5)
        canvas.drawString(MARGIN, height - 11 * mm, f"{self.kind.upper()}   {_cut(self.title, 60)}")
        canvas.setStrokeColor(LINE)
        canvas.line(MARGIN, height - 13 * mm, width - MARGIN, height - 13 * mm)
        self._footer(canvas, doc)

    def _footer(self, canvas: Canvas, doc: BaseDocTemplate) -> None:
        width, _ = doc.pagesize
        canvas.setStrokeColor(LINE)
        canvas.line(MARGIN, 13 * mm, width - MARGIN, 13 * mm)
        canvas.setFillColor(MUTED)
        canvas.setFont(REGULAR, 7.5)
        canvas.drawString(MARGIN, 9 * mm, self._foot)
        canvas.drawRightString(width - MARGIN, 9 * mm, f"Page {doc.page}")


def document(story: list[Flowable], size: tuple[float, float], letterhead: Letterhead) -> bytes:
    """Return a PDF without anything that changes from run to run."""
    content = BytesIO()
    doc = BaseDocTemplate(
        content,
        pagesize=size,
        title=f"{letterhead.kind}: {letterhead.title}",
        author="Real Dispatch",
        invariant=1,
    )
    width = size[0] - 2 * MARGIN
    low, plain_frame = 16 * mm, {"leftPadding": 0, "rightPadding": 0}
    first = Frame(
        MARGIN, low, width, size[1] - low - BAND_HEIGHT - 4 * mm, id="first", **plain_frame
    )
    further = Frame(MARGIN, low, width, size[1] - low - 15 * mm, id="further", **plain_frame)
    doc.addPageTemplates(
        [
            PageTemplate("first", [first], onPage=letterhead.first),
            PageTemplate("further", [further], onPage=letterhead.further),
        ]
    )
    doc.build(story)
    return content.getvalue()


def _cut(text: str, length: int) -> str:
    return text if len(text) <= length else f"{text[: length - 1]}\u2026"
