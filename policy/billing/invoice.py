"""The draft invoice: its lines, its totals, and its JSON in the terms of EN 16931 and UBL."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import ROUND_HALF_UP, Decimal
from enum import StrEnum
from typing import Annotated, Any, Self

from pydantic import JsonValue, PlainValidator, WithJsonSchema, model_validator

from policy.billing.price_list import PriceList
from policy.json_levels import SAFE_INTEGER
from policy.model import Frozen, Ticket
from policy.values import Cents, Name, PayloadModel, format_datetime

ARTIFACT_TYPE = "invoice_draft"
CURRENCY = "USD"
PROFORMA = "325"
"""The document type of a pro-forma invoice (UNTDID 1001): a draft demands no payment."""
MOST_LINES = 500
MOST_UNITS = 1_000_000
MINUTES_PER_HOUR = 60
BASIS_POINTS = 10_000
EXPORT_HEADS = (
    *("ticket_id", "account_id", "site_id", "invoice", "issued_at", "currency", "line", "kind"),
    *("item", "quantity", "unit_code", "unit_price_cents", "amount_cents"),
)


class LineKind(StrEnum):
    """What a line charges for."""

    LABOUR = "LABOUR"
    CALL_OUT = "CALL_OUT"
    PARTS = "PARTS"
    TAX = "TAX"
    OTHER = "OTHER"


UNIT_CODES = {LineKind.LABOUR: "HUR"}
"""Units by UN/ECE Recommendation 20: hours; everything else is counted, C62."""


def _quantity(value: object) -> Decimal:
    if isinstance(value, bool) or not isinstance(value, int | float | Decimal):
        raise ValueError("must be a number")  # noqa: TRY004  pydantic reports ValueError
    number = Decimal(str(value))
    if not 0 < number <= MOST_UNITS or number != round(number, 3):
        raise ValueError("must lie above 0 and up to 1,000,000, with at most three decimals")
    return number


Quantity = Annotated[
    Decimal,
    PlainValidator(_quantity),
    WithJsonSchema({"type": "number", "exclusiveMinimum": 0, "maximum": MOST_UNITS}),
]


class Line(PayloadModel):
    """One line: an amount, or a price and how often; if both are given they must agree."""

    description: Name
    kind: LineKind = LineKind.OTHER
    quantity: Quantity = Decimal(1)
    unit_price_cents: Cents | None = None
    amount_cents: Cents | None = None

    @model_validator(mode="after")
    def _priced(self) -> Self:
        if self.unit_price_cents is None and self.amount_cents is None:
            raise ValueError("needs amount_cents, or unit_price_cents with quantity")
        if self.amount_cents not in (None, self.product()) and self.unit_price_cents is not None:
            raise ValueError("amount_cents is not quantity times unit_price_cents")
        if self.charged > SAFE_INTEGER:
            raise ValueError("the amount is too large")
        return self

    @property
    def charged(self) -> int:
        """The line's amount in cents, half a cent rounded up."""
        return self.amount_cents if self.amount_cents is not None else self.product()

    def product(self) -> int:
        """Return quantity times price in cents."""
        exact = self.quantity * (self.unit_price_cents or 0)
        return int(exact.quantize(Decimal(1), ROUND_HALF_UP))


class Bill(Frozen):
    """The lines of an invoice."""

    lines: tuple[Line, ...]

    @property
    def tax_cents(self) -> int:
        """The sum of the tax lines."""
        return sum(line.charged for line in self.lines if line.kind is LineKind.TAX)

    @property
    def total_cents(self) -> int:
        """The sum of all lines, tax included."""
        return sum(line.charged for line in self.lines)


def invoice_document(ticket: Ticket, bill: Bill, at: datetime, source: str) -> dict[str, Any]:
    """Return the draft as JSON; amounts are whole cents. `source` says where the lines are from."""
    total, tax = bill.total_cents, bill.tax_cents
    charged = [line for line in bill.lines if line.kind is not LineKind.TAX]
    return {
        "customization_id": "urn:cen.eu:en16931:2017",
        "id": f"DRAFT-{ticket.id}",
        "invoice_type_code": PROFORMA,
        "issue_date": format_datetime(at)[:10],
        "issued_at": format_datetime(at),
        "document_currency_code": CURRENCY,
        "invoiced_object_identifier": str(ticket.id),
        "buyer_reference": str(ticket.account_id),
        "delivery_location_identifier": str(ticket.site_id),
        "note": ticket.summary,
        "lines_from": source,
        "invoice_lines": [_line(number, line) for number, line in enumerate(charged, start=1)],
        "tax_total": {
            "tax_amount_cents": tax,
            "tax_subtotals": [
                {"name": line.description, "tax_amount_cents": line.charged}
                for line in bill.lines
                if line.kind is LineKind.TAX
            ],
        },
        "legal_monetary_total": {
            "line_extension_amount_cents": total - tax,
            "tax_exclusive_amount_cents": total - tax,
            "tax_inclusive_amount_cents": total,
            "payable_amount_cents": total,
        },
    }


def _line(number: int, line: Line) -> dict[str, JsonValue]:
    price = line.unit_price_cents if line.unit_price_cents is not None else line.charged
    quantity = line.quantity if line.unit_price_cents is not None else Decimal(1)
    return {
        "id": str(number),
        "kind": line.kind.value,
        "item_name": line.description,
        "invoiced_quantity": format(quantity.normalize(), "f"),
        "unit_code": UNIT_CODES.get(line.kind, "C62"),
        "price_amount_cents": price,
        "line_extension_amount_cents": line.charged,
    }


class OnSite(Frozen):
    """What the record of a ticket says of the work: minutes on site, and the parts used."""

    minutes: int
    parts: tuple[Line, ...]
    parts_unpriced: bool


def derived_bill(
    prices: PriceList, ticket: Ticket, work: OnSite, country: str, region: str | None
) -> Bill:
    """Return the lines that the record of a ticket gives: call-out, labour, parts and tax."""
    step = prices.labour_step_minutes
    minutes = -(-work.minutes // step) * step
    lines = []
    if work.minutes:
        hours = (Decimal(minutes) / MINUTES_PER_HOUR).quantize(Decimal("0.001"), ROUND_HALF_UP)
        rate, fee = prices.labour_cents_per_hour, prices.call_out_cents
        call_out = Line(
            description="Call-out", kind=LineKind.CALL_OUT, unit_price_cents=fee[ticket.priority]
        )
        labour = Line(
            description=f"Labour on site, {minutes} minutes",
            kind=LineKind.LABOUR,
            quantity=hours,
            unit_price_cents=rate[ticket.priority],
        )
        lines += [call_out, labour]
    lines += work.parts
    if work.parts_unpriced:
        lines.append(
            Line(description="Parts used, to be priced", kind=LineKind.PARTS, amount_cents=0)
        )
    points = prices.tax_of(country, region)
    if points:
        net = Decimal(sum(line.charged for line in lines))
        tax = int((net * points / BASIS_POINTS).quantize(Decimal(1), ROUND_HALF_UP))
        rate_text = format((Decimal(points) / 100).normalize(), "f")
        name = f"Tax {rate_text} %"
        lines.append(Line(description=name, kind=LineKind.TAX, amount_cents=tax))
    return Bill(lines=tuple(lines))


def work_done(events: Sequence[Mapping[str, Any]]) -> OnSite:
    """Return what audit events (V, in order) say of the work on site.

    Time counts while the ticket is IN_PROGRESS: waiting for an approval or on hold it does not.
    Parts are those that the newest completion lists, as lines; they are optional there.
    """
    seconds, since = 0.0, None
    completion: Mapping[str, Any] = {}
    for event in events:
        at, state = datetime.fromisoformat(event["created_at"]), event["after_state"]
        if since is not None and state not in (None, "IN_PROGRESS"):
            seconds += (at - since).total_seconds()
            since = None
        elif since is None and state == "IN_PROGRESS":
            since = at
        if event["tool_name"] in {"tech.complete", "closeout.candidate"}:
            completion = event["payload"].get("request") or {}
    parts = _parts(completion.get("parts"))
    checklist = completion.get("checklist_status")
    used = isinstance(checklist, dict) and checklist.get("parts_used_or_needed") is True
    minutes = int(-(-seconds // MINUTES_PER_HOUR))
    return OnSite(minutes=minutes, parts=parts, parts_unpriced=used and not parts)


def _parts(value: object) -> tuple[Line, ...]:
    """Return the parts of a completion; what is no list of lines, or too long, counts as none."""
    try:
        listed = value if isinstance(value, list) and len(value) <= MOST_LINES else []
        return tuple(Line.model_validate({**part, "kind": LineKind.PARTS}) for part in listed)
    except (TypeError, ValueError):
        return ()


def export_rows(invoice: Mapping[str, Any]) -> list[tuple[str, ...]]:
    """Return the rows of the accounting export, a line or a tax in each; one if there are none."""
    head = [
        invoice["invoiced_object_identifier"],
        invoice["buyer_reference"],
        invoice["delivery_location_identifier"],
        invoice["id"],
        invoice["issued_at"],
        invoice["document_currency_code"],
    ]
    rows = [
        (
            *(line["id"], line["kind"], line["item_name"], line["invoiced_quantity"]),
            *(line["unit_code"], line["price_amount_cents"], line["line_extension_amount_cents"]),
        )
        for line in invoice["invoice_lines"]
    ]
    rows += [
        ("", LineKind.TAX.value, tax["name"], "1", "C62", *[tax["tax_amount_cents"]] * 2)
        for tax in invoice["tax_total"]["tax_subtotals"]
    ]
    nothing = [("",) * (len(EXPORT_HEADS) - len(head))]
    return [tuple(safe_cell(str(cell)) for cell in (*head, *row)) for row in rows or nothing]


def safe_cell(text: str) -> str:
    """Return a cell that no spreadsheet takes for a formula."""
    return f"'{text}" if text[:1] in {"=", "+", "-", "@", "\t", "\r"} else text
