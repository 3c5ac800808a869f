"""Pages of one text, a record of one ticket, and what can be read and seen of them."""

import re
from collections.abc import Sequence
from datetime import UTC, datetime
from functools import cache
from io import BytesIO
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from PIL import Image
from pypdf import PdfReader

from policy.billing.derived import CheckIn
from policy.billing.invoice import Bill, Line, invoice_document
from policy.dossier.manifest import EvidenceFile, Record
from records.dossier.invoice import invoice_page
from records.dossier.packet import packet
from records.dossier.page import Block, Letterhead, Page, listing, note
from records.dossier.text import says
from records.dossier.thumbnails import Picture
from records.dossier.typesetter import compiler, typeset
from tests.unit.facts_builder import ticket

AT = "2026-11-20T12:00:00.000Z"
APPROVAL = "00000000-0000-0000-0000-00000000a001"
MM = 25.4
DOTS = 36


def page(*blocks: Block, title: str = "Account", badge: str = "Closed") -> Page:
    """Return a page of some blocks."""
    return Page("a4", Letterhead("Kind", title, "Subtitle", badge, "Foot"), AT, blocks, {})


def narrow(text: str) -> Page:
    """Return a page with a text in the middle one of three columns, a narrow one."""
    row = [says("left"), says(text), says("right")]
    return page(listing(("A", "B", "C"), (70, 14, 16), [row]))


def paragraph(text: str) -> Page:
    """Return a page of one text."""
    return page(note(text, "body"))


def pdf(of: Page) -> bytes:
    """Return the PDF of a page."""
    with TemporaryDirectory() as folder:
        return typeset(of, Path(folder))


def read(content: bytes) -> list[str]:
    """Return the text of every sheet."""
    return [sheet.extract_text() for sheet in PdfReader(BytesIO(content)).pages]


def replaced(content: bytes) -> str:
    """Return what stands in a PDF for a glyph that is drawn for several characters."""
    found = [
        text
        for sheet in PdfReader(BytesIO(content)).pages
        if (drawn := sheet.get_contents()) is not None
        for text in re.findall(rb"/ActualText<FEFF([0-9A-F]+)>", drawn.get_data())
    ]
    return "".join(bytes.fromhex(text.decode()).decode("utf-16-be") for text in found)


def seen(of: Page) -> list[Image.Image]:
    """Return the sheets as pictures, in grey."""
    with TemporaryDirectory() as folder:
        drawn = compiler(of, Path(folder)).compile(format="png", ppi=DOTS)
    sheets = drawn if isinstance(drawn, list) else [drawn]
    return [Image.open(BytesIO(sheet)).convert("L") for sheet in sheets if sheet]


Box = tuple[float, float, float, float]
"""In mm from the left upper corner: left, upper, right, lower."""


def ink(sheet: Image.Image, box: Box) -> int:
    """Return how many dots of a box are darker than the lines of a table."""
    return sum(_shades(sheet, box)[:210])


def bright(sheet: Image.Image, box: Box) -> int:
    """Return how many dots of a box are brighter than the band of a head."""
    return sum(_shades(sheet, box)[130:])


def _shades(sheet: Image.Image, box: Box) -> list[int]:
    left, upper, right, lower = (round(side / MM * DOTS) for side in box)
    return sheet.crop((left, upper, right, lower)).histogram()


def site(text: str = "Site") -> dict[str, Any]:
    """Return a site that has a text in each of its fields."""
    fields = ("name", "address1", "address2", "city", "region", "postal_code")
    return {**dict.fromkeys(fields, text), "country": "US", "timezone": "America/Los_Angeles"}


def invoice(
    text: str, lines: int = 1, name: str = "Account", check_ins: Sequence[CheckIn] = ()
) -> Page:
    """Return the page of a draft whose note is a text; lines begin with it."""
    bill = Bill(lines=(Line(description=text[:200].strip() or "-", unit_price_cents=100),) * lines)
    draft = invoice_document(ticket(summary=text), bill, datetime.now(UTC), "caller")
    draft["check_ins"] = [each.shape() for each in check_ins]
    return invoice_page(draft, site(), {"name": name})


def event(seq: int, tool: str, state: str | None, **payload: Any) -> dict[str, Any]:  # noqa: ANN401
    """Return an audit row of a person called jane."""
    return {
        "seq": seq,
        "tool_name": tool,
        "after_state": state,
        "payload": payload,
        "created_at": AT,
        "actor_id": "jane",
        "actor_role": "approver",
        "actor_type": "HUMAN",
        "hash": "0" * 64,
    }


def approval(**fields: Any) -> dict[str, Any]:  # noqa: ANN401
    """Return an approved increase of the limit by $45."""
    return {
        "id": APPROVAL,
        "status": "APPROVED",
        "approval_type": "NTE_INCREASE",
        "amount_delta_cents": 4500,
        "reason": "Kept",
        "requested_by": "tess",
        "requested_at": AT,
        "decided_by": "jane",
        "decided_at": AT,
        **fields,
    }


@cache
def _shape() -> dict[str, Any]:
    return ticket().model_dump(mode="json") | {"id": str(ticket().id), "state": "CLOSED"}


def record(**fields: Any) -> Record:  # noqa: ANN401
    """Return what is known of a closed ticket with one approval; `ticket_*` are its columns."""
    columns = {name[7:]: fields.pop(name) for name in list(fields) if name.startswith("ticket_")}
    asked = event(1, "tech.request_change", "APPROVAL_REQUIRED", approval_id=APPROVAL)
    asked["payload"]["request"] = {"reason": "New strike"}
    told = {"approval_id": APPROVAL, "decision": "APPROVED", "notes": "Go ahead"}
    known: dict[str, Any] = {
        "ticket": {**_shape(), "nte_cents": 50_000, **columns},
        "site": site(),
        "account": {"name": "Account"},
        "technician": "Tess",
        "sla": {
            **dict.fromkeys(("response", "arrival", "resolution")),
            "contract": "standard",
            "minutes": {},
            "ledger": [],
        },
        "approvals": [approval()],
        "escalations": [],
        "completion": None,
        "requirements": {"required_checklist": [], "required_evidence": []},
        **dict.fromkeys(("transitions", "decisions", "artifacts", "places"), ()),
        "events": [asked, event(2, "approval.decide", "IN_PROGRESS", **told)],
        "checkpoint": None,
        "bundles": {},
    }
    return Record(**known | fields)


def evidence(content: bytes | None = None, missing: str | None = None, **item: Any) -> Picture:  # noqa: ANN401
    """Return an item of evidence without a picture."""
    known = {
        "id": "0",
        "kind": "NOTE",
        "uri": "s3://b/k",
        "checksum": None,
        "metadata": {},
        "created_at": AT,
        "content_type": "text/plain" if content else None,
        **item,
    }
    return Picture(EvidenceFile(known, content, missing), None, None)


def dossier(*shown: Picture, **fields: Any) -> Page:  # noqa: ANN401
    """Return the page of a record."""
    return packet(record(**fields), shown)
