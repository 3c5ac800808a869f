"""The draft invoice: its lines, its totals, and its JSON in the terms of EN 16931 and UBL."""

import math
import unicodedata
from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from fractions import Fraction
from typing import Annotated, Any, Self

from pydantic import JsonValue, PlainValidator, WithJsonSchema, model_validator

from policy.json_levels import SAFE_INTEGER
from policy.model import Frozen, Ticket
from policy.values import Cents, Name, PayloadModel, format_datetime

ARTIFACT_TYPE = "invoice_draft"
CURRENCY = "USD"
PROFORMA = "325"
"""The document type of a pro-forma invoice (UNTDID 1001): a draft demands no payment."""
MOST_LINES = 500
MOST_UNITS = 1_000_000
FORMULA_SIGNS = frozenset("=+-@\N{MINUS SIGN}")
LEADING_CONTROLS = frozenset("\t\r\n")
FILLERS = frozenset("\u115f\u1160\u3164\uffa0\u2800")
"""Letters and signs that are drawn as nothing."""
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
    ours = isinstance(value, Decimal)  # JSON knows no decimals
    if not 0 < number <= MOST_UNITS or not (ours or number == round(number, 3)):
        raise ValueError("must lie above 0 and up to 1,000,000, with at most three decimals")
    return number


Quantity = Annotated[
    Decimal,
    PlainValidator(_quantity),
    WithJsonSchema({"type": "number", "exclusiveMinimum": 0, "maximum": MOST_UNITS}),
]


class Line(PayloadModel):
    """One line: a price and how often, or an amount; whatever is given must agree.

    An amount for several without a price tells the price, if there is one in whole cents.
    """

    description: Name
    kind: LineKind = LineKind.OTHER
    quantity: Quantity = Decimal(1)
    unit_price_cents: Cents | None = None
    amount_cents: Cents | None = None

    @model_validator(mode="after")
    def _priced(self) -> Self:
        if self.unit_price_cents is None and self.amount_cents is None:
            raise ValueError("needs amount_cents, or unit_price_cents with quantity")
        if self.amount_cents not in {None, self.product}:
            raise ValueError("amount_cents is not quantity times a price in whole cents")
        if max(self.charged, self.price) > SAFE_INTEGER:
            raise ValueError("the amount is too large")
        return self

    @property
    def price(self) -> int:
        """What one costs, in cents."""
        if self.unit_price_cents is not None:
            return self.unit_price_cents
        return half_up(Fraction(self.amount_cents or 0) / Fraction(self.quantity))

    @property
    def product(self) -> int:
        """Quantity times price in cents."""
        return half_up(Fraction(self.quantity) * self.price)

    @property
    def charged(self) -> int:
        """The line's amount in cents."""
        return self.amount_cents if self.amount_cents is not None else self.product


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


def half_up(exact: Fraction) -> int:
    """Return an exact amount in whole units, half a unit rounded up: once, at a line's end."""
    return math.floor(exact + Fraction(1, 2))


def fits(bill: Bill) -> bool:
    """Return whether every reader of JSON reads the total as it is."""
    return bill.total_cents <= SAFE_INTEGER


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
    return {
        "id": str(number),
        "kind": line.kind.value,
        "item_name": line.description,
        "invoiced_quantity": format(line.quantity.normalize(), "f"),
        "unit_code": UNIT_CODES.get(line.kind, "C62"),
        "price_amount_cents": line.price,
        "line_extension_amount_cents": line.charged,
    }


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
    """Return a cell that no spreadsheet takes for a formula, whatever it drops before looking.

    What cannot be seen is passed over, and wide or small forms count as the plain character.
    """
    seen = next((each for each in text if not _is_unseen(each)), "")
    formula = unicodedata.normalize("NFKC", seen)[:1] in FORMULA_SIGNS
    return f"'{text}" if formula or text[:1] in LEADING_CONTROLS else text


def _is_unseen(character: str) -> bool:
    return unicodedata.category(character)[0] in "CMZ" or character in FILLERS
