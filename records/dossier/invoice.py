"""The draft invoice as a page for people, in the style of the packet."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from policy.billing.invoice import LineKind
from records.dossier.page import (
    Block,
    Letterhead,
    Page,
    cards,
    heading,
    listing,
    note,
    paper,
    totals,
)
from records.dossier.text import Text, says
from records.dossier.wording import Clock, dollars, place, words

UNITS = {"HUR": "h", "C62": ""}
HEADS, SHARES, AMOUNTS = (
    ("", "Item", "Kind", "Quantity", "Price", "Amount"),
    (6, 38, 12, 14, 15, 15),
    3,
)
VISIT_HEADS = ("Arrival claimed", "Recorded", "Labour counts from", "Remark")
VISIT_SHARES = (23, 23, 23, 31)


def invoice_page(
    invoice: Mapping[str, Any], site: Mapping[str, Any], account: Mapping[str, Any]
) -> Page:
    """Return the page of a draft."""
    payable = dollars(invoice["legal_monetary_total"]["payable_amount_cents"])
    return Page(
        paper=paper(site["country"]),
        letterhead=Letterhead(
            kind="Draft invoice",
            title=account["name"],
            subtitle=f"{invoice['id']}, {invoice['issue_date']}",
            badge=payable,
            foot=f"Ticket {invoice['invoiced_object_identifier']}, draft of {invoice['issued_at']}",
        ),
        made_at=invoice["issued_at"],
        blocks=[*_blocks(invoice, site, account, payable)],
        pictures={},
    )


def _blocks(
    invoice: Mapping[str, Any], site: Mapping[str, Any], account: Mapping[str, Any], payable: str
) -> Iterator[Block]:
    yield cards([("Bill to", account["name"]), ("Site", place(site))], [("For", invoice["note"])])
    yield heading("Lines")
    yield listing(HEADS, SHARES, map(_line, invoice["invoice_lines"]), AMOUNTS)
    sums, tax = invoice["legal_monetary_total"], invoice["tax_total"]
    taxes = [(each["name"], dollars(each["tax_amount_cents"])) for each in tax["tax_subtotals"]]
    yield totals([("Net", dollars(sums["tax_exclusive_amount_cents"])), *taxes, ("Total", payable)])
    yield from _visits(invoice.get("check_ins", ()), site)
    derived = " Its lines were derived from the record of the ticket and a price list."
    yield note(
        "This is a draft and demands no payment. Amounts are in US dollars."
        + ("" if invoice["lines_from"] == "caller" else derived)
    )


def _visits(check_ins: Sequence[Mapping[str, Any]], site: Mapping[str, Any]) -> Iterator[Block]:
    """Yield what labour was counted from: each check-in as claimed and as recorded."""
    if not check_ins:
        return
    clock = Clock(site["timezone"])
    yield heading("On site")
    yield listing(VISIT_HEADS, VISIT_SHARES, (_visit(each, clock) for each in check_ins))


def _visit(check_in: Mapping[str, Any], clock: Clock) -> list[Text]:
    instants = (check_in[name] for name in ("claimed_at", "recorded_at", "counted_from"))
    remark = check_in["doubt"] or ("recorded late" if check_in["late"] else "")
    return [*(says(clock.show(each), "small") for each in instants), says(remark, "small")]


def _line(line: Mapping[str, Any]) -> list[Text]:
    return [
        says(line["id"], "small"),
        says(line["item_name"]),
        says(words(line["kind"]) if line["kind"] != LineKind.OTHER else "", "small"),
        says(f"{line['invoiced_quantity']} {UNITS[line['unit_code']]}".strip()),
        says(dollars(line["price_amount_cents"])),
        says(dollars(line["line_extension_amount_cents"])),
    ]
