"""The packet: the dossier's pages for people. The same record makes the same page."""

from collections.abc import Sequence

from policy.dossier.manifest import Record
from records.dossier import sections
from records.dossier.page import Letterhead, Page, paper
from records.dossier.thumbnails import Picture
from records.dossier.tiles import picture_name
from records.dossier.wording import Clock, words


def packet(record: Record, shown: Sequence[Picture]) -> Page:
    """Return the page."""
    clock = Clock(record.site["timezone"])
    return Page(
        paper=paper(record.site["country"]),
        letterhead=Letterhead(
            kind="Service closeout dossier",
            title=record.account["name"],
            subtitle=record.ticket["summary"],
            badge=words(record.ticket["state"]),
            foot=f"Ticket {record.ticket['id']}, as of {clock.show(record.as_of)}",
        ),
        made_at=record.as_of,
        blocks=[
            *sections.overview(record, clock),
            *sections.service_level(record, clock),
            *sections.timeline(record, clock),
            *sections.approvals(record, clock),
            *sections.checklist(record),
            *sections.evidence(shown, clock),
            *sections.signatures(record, shown, clock),
            *sections.integrity(record),
        ],
        pictures={picture_name(each): each.small for each in shown if each.small is not None},
    )
