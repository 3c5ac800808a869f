"""The draft invoice as a page for people, in the style of the packet."""

from collections.abc import Mapping
from typing import Any

from reportlab.lib.units import mm
from reportlab.platypus import Flowable, NextPageTemplate, Spacer, Table, TableStyle

from policy.billing.invoice import LineKind
from records.dossier.packet import MARGIN, Letterhead, document, page_size
from records.dossier.style import (
    AMOUNT,
    LINE,
    SMALL,
    TOTAL,
    dollars,
    listing,
    says,
    section,
    side_by_side,
)
from records.dossier.wording import words

UNITS = {"HUR": "h", "C62": ""}


def render_invoice(
    invoice: Mapping[str, Any], site: Mapping[str, Any], account: Mapping[str, Any]
) -> bytes:
    """Return the PDF; the same draft makes the same bytes."""
    size = page_size(site["country"])
    width = size[0] - 2 * MARGIN
    town = " ".join(filter(None, (site["city"], site["region"], site["postal_code"])))
    place = (site["name"], site["address1"], site["address2"], town, site["country"])
    parties = side_by_side(
        [("Bill to", account["name"]), ("For", invoice["note"])],
        [("Site", "\n".join(filter(None, place)))],
        width,
    )
    story: list[Flowable] = [
        NextPageTemplate("further"),
        parties,
        *section("Lines", _lines(invoice, width)),
        Spacer(0, 2 * mm),
        _totals(invoice, width),
        Spacer(0, 4 * mm),
        says(
            "This is a draft and demands no payment. Amounts are in US dollars."
            + (
                ""
                if invoice["lines_from"] == "caller"
                else " Its lines were derived from the record of the ticket and a price list."
            ),
            SMALL,
        ),
    ]
    head = Letterhead(
        kind="Draft invoice",
        title=account["name"],
        subtitle=f"{invoice['id']}, {invoice['issue_date']}",
        badge=dollars(invoice["legal_monetary_total"]["payable_amount_cents"]),
        foot=f"Ticket {invoice['invoiced_object_identifier']}, draft of {invoice['issued_at']}",
    )
    return document(story, size, head)


def _lines(invoice: Mapping[str, Any], width: float) -> Table:
    rows = [
        [
            says(line["id"], SMALL),
            says(line["item_name"]),
            says(words(line["kind"]) if line["kind"] != LineKind.OTHER else "", SMALL),
            says(f"{line['invoiced_quantity']} {UNITS[line['unit_code']]}".strip(), AMOUNT),
            says(dollars(line["price_amount_cents"]), AMOUNT),
            says(dollars(line["line_extension_amount_cents"]), AMOUNT),
        ]
        for line in invoice["invoice_lines"]
    ]
    heads = ("", "Item", "Kind", "Quantity", "Price", "Amount")
    widths = [width * part for part in (0.05, 0.41, 0.14, 0.12, 0.14, 0.14)]
    return listing(heads, rows, widths, amounts=3)


def _totals(invoice: Mapping[str, Any], width: float) -> Table:
    sums, tax = invoice["legal_monetary_total"], invoice["tax_total"]
    rows = [["", says("Net"), says(dollars(sums["tax_exclusive_amount_cents"]), AMOUNT)]]
    rows += [
        ["", says(each["name"]), says(dollars(each["tax_amount_cents"]), AMOUNT)]
        for each in tax["tax_subtotals"]
    ]
    rows.append(["", says("Total"), says(dollars(sums["payable_amount_cents"]), TOTAL)])
    table = Table(rows, colWidths=[width * 0.6, width * 0.22, width * 0.18])
    table.setStyle(TableStyle([("LINEABOVE", (1, -1), (-1, -1), 0.8, LINE)]))
    return table
