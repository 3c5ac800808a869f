"""The sections of the packet, each from the record alone."""

from collections.abc import Mapping, Sequence
from typing import Any

from reportlab.lib.units import mm
from reportlab.platypus import Flowable, KeepTogether, Paragraph, Spacer, Table, TableStyle

from policy.dossier.manifest import Record
from records.dossier.style import (
    BAD,
    BOLD,
    CODE,
    GOOD,
    SMALL,
    Mark,
    card,
    dollars,
    listing,
    says,
    section,
    side_by_side,
)
from records.dossier.thumbnails import Picture
from records.dossier.tiles import is_signature, tile
from records.dossier.wording import Clock, duration, happened, words

ACROSS = 3
MOST_SPANS = 24
TARGETS = ("response", "arrival", "resolution")
OPEN = "#66727f"


def overview(record: Record, clock: Clock, width: float) -> list[Flowable]:
    """Tell what was asked, where, and who came."""
    ticket, site = record.ticket, record.site
    window = None
    if ticket["scheduled_start"]:
        window = f"{clock.show(ticket['scheduled_start'])} to {clock.show(ticket['scheduled_end'])}"
    work = [
        ("Request", ticket["summary"]),
        ("Type", words(ticket["incident_type"]) if ticket["incident_type"] else None),
        ("Priority", words(ticket["priority"])),
        ("Appointment", window),
        ("Technician", record.technician),
    ]
    town = " ".join(filter(None, (site["city"], site["region"], site["postal_code"])))
    lines = (site["name"], site["address1"], site["address2"], town, site["country"])
    place = [
        ("Site", "\n".join(filter(None, lines))),
        ("Customer contact", ticket["customer_name"]),
        ("Not to exceed", dollars(ticket["nte_cents"]) if ticket["nte_cents"] else None),
        ("Ticket", ticket["id"]),
    ]
    return [side_by_side(work, place, width)]


def service_level(record: Record, clock: Clock, width: float) -> list[Flowable]:
    """Tell what was promised, whether it was kept, and how the time was counted."""
    sla = record.sla
    rows = [
        [
            says(words(name)),
            says(duration(target["target_minutes"])),
            says(clock.show(target["due_at"])),
            says(clock.show(target["met_at"])),
            _verdict(target["status"]),
        ]
        for name in TARGETS
        if (target := sla[name]) is not None
    ]
    heads = ("Target", "Time", "Due", "Met", "Result")
    parts: list[Flowable] = [listing(heads, rows, _shares(width, 17, 13, 28, 28, 14))]
    counted = ", ".join(
        f"{words(kind).lower()} {duration(minutes)}" for kind, minutes in sla["minutes"].items()
    )
    parts.append(says(f"Contract {words(sla['contract']).lower()}; time: {counted}.", SMALL))
    if 1 < len(sla["ledger"]) <= MOST_SPANS:
        spans = [
            [
                says(clock.show(span["start"])),
                says(clock.show(span["end"])),
                says(words(span["kind"])),
                says(words(span["reason"] or ""), SMALL),
            ]
            for span in sla["ledger"]
        ]
        book = listing(("From", "To", "Clock", "Because"), spans, _shares(width, 28, 28, 16, 28))
        parts += [Spacer(0, 2 * mm), book]
    if record.escalations:
        rows = [
            [says(words(each["kind"])), says(each["level"]), says(clock.show(each["raised_at"]))]
            for each in record.escalations
        ]
        raised = listing(("Escalation", "Level", "Raised"), rows, _shares(width, 50, 15, 35))
        parts += [Spacer(0, 2 * mm), raised]
    return section("Service level", *parts)


def _verdict(status: str) -> Paragraph:
    colour = {"met": GOOD, "missed": BAD, "breach": BAD}.get(status, OPEN)
    return Paragraph(f'<font color="{colour}">{words(status)}</font>', BOLD)


def timeline(record: Record, clock: Clock, width: float) -> list[Flowable]:
    """Tell what happened, in order; every step of the audit is in the archive."""
    rows = [
        [
            says(clock.show(event["created_at"])),
            says(said),
            says(words(event["actor_role"] or event["actor_type"].lower())),
            says(words((event["after_state"] or "").lower()), SMALL),
        ]
        for event in record.events
        if (said := happened(event)) is not None
    ]
    heads = ("When", "What happened", "By", "Then")
    return section("Timeline", listing(heads, rows, _shares(width, 26, 38, 14, 22)))


def approvals(record: Record, clock: Clock, width: float) -> list[Flowable]:
    """Tell what was asked for on the way, and who allowed it."""
    if not record.approvals:
        return []
    rows = [
        [
            says(clock.show(each["requested_at"])),
            says(words(each["approval_type"])),
            says(dollars(each["amount_delta_cents"]) if each["amount_delta_cents"] else "-"),
            says(each["reason"]),
            says(_decided(each)),
        ]
        for each in record.approvals
    ]
    heads = ("Requested", "Kind", "Amount", "Reason", "Decision")
    return section("Approvals", listing(heads, rows, _shares(width, 24, 14, 13, 27, 22)))


def checklist(record: Record, width: float) -> list[Flowable]:
    """Tell what had to be done and proven."""
    needed = record.requirements
    rows = [
        (each["key"], kind, each["present"])
        for kind, part in (("Work", "required_checklist"), ("Evidence", "required_evidence"))
        for each in needed[part]
    ]
    if not rows:
        return []
    cells = [
        [Mark(good=present), says(words(key)), says(kind, SMALL)] for key, kind, present in rows
    ]
    return section(
        "Checklist", listing(("", "Requirement", "Kind"), cells, _shares(width, 6, 74, 20))
    )


def evidence(shown: Sequence[Picture], clock: Clock, width: float) -> list[Flowable]:
    """Show every item with its picture and its fingerprint."""
    if not shown:
        return []
    side = width / ACROSS
    tiles: list[Flowable | str] = [tile(each, clock, side - 4 * mm) for each in shown]
    tiles += [""] * (-len(tiles) % ACROSS)
    rows = [tiles[at : at + ACROSS] for at in range(0, len(tiles), ACROSS)]
    table = Table(rows, colWidths=[side] * ACROSS)
    table.setStyle(
        TableStyle(
            [
                ("VALIGN", (0, 0), (-1, -1), "TOP"),
                ("LEFTPADDING", (0, 0), (-1, -1), 0),
                ("RIGHTPADDING", (0, 0), (-1, -1), 4 * mm),
                ("BOTTOMPADDING", (0, 0), (-1, -1), 3 * mm),
            ]
        )
    )
    return section("Evidence", table)


def signatures(
    record: Record, shown: Sequence[Picture], clock: Clock, width: float
) -> list[Flowable]:
    """Show who signed for the work, or tell why nobody did."""
    signed = [each for each in shown if is_signature(each.file.item)]
    reason = (record.completion or {}).get("no_signature_reason")
    parts: list[Flowable] = [tile(each, clock, width / 2, height=24 * mm) for each in signed]
    if reason:
        parts.append(card([("No signature was taken, because", reason)], width))
    if not parts:
        return []
    return [KeepTogether(section("Signature", *parts))]


def integrity(record: Record, width: float) -> list[Flowable]:
    """Tell what makes this dossier provable without us."""
    anchored, checkpoint = len(record.places), record.checkpoint
    facts: list[tuple[str, object]] = [
        ("Audit rows", f"{len(record.events)}, of which {anchored} are in the signed log"),
        ("Hash of the newest audit row", says(record.events[-1]["hash"], CODE)),
    ]
    if checkpoint is not None:
        body = checkpoint.checkpoint
        facts += [
            ("Checkpoint", f"number {body.number} over {body.tree_size:,} rows of the log"),
            ("Root of the log", says(body.root_hash, CODE)),
            ("Key of the checkpoint", body.key_id),
        ]
    text = (
        "This page belongs to an archive that holds the evidence files, every audit row with its"
        " proof, the decisions and the rules that made them. Anyone can verify all of it offline"
        " with one Python file and our public key: a single changed byte is found and named."
    )
    return [KeepTogether(section("Proof", says(text), Spacer(0, 2 * mm), card(facts, width)))]


def _decided(approval: Mapping[str, Any]) -> str:
    status = words(approval["status"].lower())
    return f"{status} by {approval['decided_by']}" if approval["decided_by"] else status


def _shares(width: float, *percent: float) -> list[float]:
    return [width * each / 100 for each in percent]
