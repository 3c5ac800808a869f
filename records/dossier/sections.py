"""The sections of the packet, each from the record alone."""

from collections.abc import Sequence

from policy.dossier.manifest import Record
from policy.local_time import duration_text
from records.dossier.page import Block, Fact, cards, heading, listing, note, tiles
from records.dossier.text import Text, cut, says
from records.dossier.thumbnails import Picture
from records.dossier.tiles import is_signature, tile
from records.dossier.wording import (
    Clock,
    Story,
    allowed,
    approval_kind,
    decided,
    dollars,
    place,
    words,
)

ACROSS = 3
SIGNATURE_MM = 24
MOST_SPANS = 24
MOST_REASONS = 40_000
"""Characters of all reasons for approvals together: two of the longest are shown whole."""
TARGETS = ("response", "arrival", "resolution")
STYLES = {"met": "good", "missed": "bad", "breach": "bad"}
PROOF = (
    "This page belongs to an archive that holds the evidence files, every audit row with its"
    " proof, the decisions and the rules that made them. Anyone can verify all of it offline"
    " with one Python file and our public key: a single changed byte is found and named."
)


def overview(record: Record, clock: Clock) -> list[Block]:
    """Tell what was asked, where, and who came."""
    ticket = record.ticket
    window = None
    if ticket["scheduled_start"]:
        window = f"{clock.show(ticket['scheduled_start'])} to {clock.show(ticket['scheduled_end'])}"
    work = [
        ("Request", ticket["summary"]),
        ("Description", ticket["description"]),
        ("Type", words(ticket["incident_type"]) if ticket["incident_type"] else None),
        ("Priority", words(ticket["priority"])),
        ("Appointment", window),
        ("Technician", record.technician),
    ]
    where = [
        ("Customer", record.account["name"]),
        ("Site", place(record.site)),
        ("Customer contact", ticket["customer_name"]),
        ("Not to exceed", allowed(ticket["nte_cents"], record.approvals)),
        ("Ticket", ticket["id"]),
    ]
    return [cards(work, where)]


def service_level(record: Record, clock: Clock) -> list[Block]:
    """Tell what was promised, whether it was kept, and how the time was counted."""
    sla = record.sla
    rows = [
        [
            says(words(name)),
            says(duration_text(target["target_minutes"])),
            says(clock.show(target["due_at"])),
            says(clock.show(target["met_at"])),
            says(words(target["status"]), STYLES.get(target["status"], "open")),
        ]
        for name in TARGETS
        if (target := sla[name]) is not None
    ]
    counted = ", ".join(
        f"{words(kind).lower()} {duration_text(minutes)}"
        for kind, minutes in sla["minutes"].items()
    )
    blocks = [
        heading("Service level"),
        listing(("Target", "Time", "Due", "Met", "Result"), (17, 13, 27, 27, 16), rows),
        note(f"Contract {words(sla['contract']).lower()}; time: {counted}."),
    ]
    if 1 < len(sla["ledger"]) <= MOST_SPANS:
        spans = [
            [
                says(clock.show(span["start"])),
                says(clock.show(span["end"])),
                says(words(span["kind"])),
                says(words(span["reason"] or ""), "small"),
            ]
            for span in sla["ledger"]
        ]
        blocks.append(listing(("From", "To", "Clock", "Because"), (28, 28, 16, 28), spans))
    if record.escalations:
        rows = [
            [says(words(each["kind"])), says(each["level"]), says(clock.show(each["raised_at"]))]
            for each in record.escalations
        ]
        blocks.append(listing(("Escalation", "Level", "Raised"), (50, 15, 35), rows))
    return blocks


def timeline(record: Record, clock: Clock) -> list[Block]:
    """Tell what happened, in order; every step of the audit is in the archive."""
    story = Story(record.approvals)
    rows = [
        [
            says(clock.show(event["created_at"])),
            says(said),
            says(words(event["actor_role"] or event["actor_type"])),
            says(words(event["after_state"] or ""), "small"),
        ]
        for event in record.events
        if (said := story.happened(event)) is not None
    ]
    heads = ("When", "What happened", "By", "Then")
    return [heading("Timeline"), listing(heads, (26, 38, 14, 22), rows)]


def approvals(record: Record, clock: Clock) -> list[Block]:
    """Tell what was asked for on the way, by whom, and who allowed it."""
    if not record.approvals:
        return []
    story = Story(record.approvals)
    most = max(MOST_REASONS // (2 * len(record.approvals)), 1)
    rows = []
    for each in record.approvals:
        reason, notes = story.reasons(each, record.events)
        cents = each["amount_delta_cents"]
        rows.append(
            [
                says(f"{clock.show(each['requested_at'])}\nby {each['requested_by']}"),
                says(approval_kind(each)),
                says(dollars(cents) if cents else None),
                says(cut(reason or "-", most)),
                says("\n".join(filter(None, (decided(each, clock), cut(notes or "", most))))),
            ]
        )
    heads = ("Requested", "What for", "Amount", "Reason", "Decision")
    return [heading("Approvals"), listing(heads, (23, 14, 13, 25, 25), rows)]


def checklist(record: Record) -> list[Block]:
    """Tell what had to be done and proven."""
    rows = [
        [
            says("Done" if each["present"] else "Missing", "good" if each["present"] else "bad"),
            says(words(each["key"])),
            says(kind, "small"),
        ]
        for kind, part in (("Work", "required_checklist"), ("Evidence", "required_evidence"))
        for each in record.requirements[part]
    ]
    if not rows:
        return []
    heads = ("", "Requirement", "Kind")
    return [heading("Checklist"), listing(heads, (14, 66, 20), rows)]


def evidence(shown: Sequence[Picture], clock: Clock) -> list[Block]:
    """Show every item with its picture and its fingerprint."""
    if not shown:
        return []
    return [heading("Evidence"), tiles([tile(each, clock) for each in shown], ACROSS)]


def signatures(record: Record, shown: Sequence[Picture], clock: Clock) -> list[Block]:
    """Show who signed for the work, or tell why nobody did."""
    signed = [tile(each, clock, SIGNATURE_MM) for each in shown if is_signature(each.file.item)]
    reason = (record.completion or {}).get("no_signature_reason")
    blocks = [tiles(signed, 2)] if signed else []
    if reason:
        blocks.append(cards([("No signature was taken, because", reason)]))
    return [heading("Signature"), *blocks] if blocks else []


def integrity(record: Record) -> list[Block]:
    """Tell what makes this dossier provable without us."""
    anchored, checkpoint = len(record.places), record.checkpoint
    head: Text = says(record.events[-1]["hash"], "code")
    facts: list[Fact] = [
        ("Audit rows", f"{len(record.events)}, of which {anchored} are in the signed log"),
        ("Hash of the newest audit row", head),
    ]
    if checkpoint is not None:
        body = checkpoint.checkpoint
        facts += [
            ("Checkpoint", f"number {body.number} over {body.tree_size:,} rows of the log"),
            ("Root of the log", says(body.root_hash, "code")),
            ("Key of the checkpoint", body.key_id),
        ]
    return [heading("Proof"), note(PROOF, "body"), cards(facts)]
