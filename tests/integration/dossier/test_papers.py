"""Papers: drawn in a process of their own, a few at a time, and nobody waits without end."""

import asyncio
import os
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from time import process_time
from typing import Any

import psutil
import pytest

from policy.billing.invoice import MOST_LINES, Bill, Line, invoice_document
from records.dossier.papers import DRAWER, BusyError, NotDrawnError, Papers
from tests.polling import eventually
from tests.unit.dossier.pages import approval, evidence, record
from tests.unit.facts_builder import ticket

SITE = {
    "name": "Site",
    "address1": "Road 1",
    "address2": None,
    "city": "Town",
    "region": "CA",
    "postal_code": "1",
    "country": "US",
}
ACCOUNT = {"name": "Account"}


def draft(lines: int) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
    """Return a draft invoice of so many lines, and the names that its page shows."""
    line = Line(description="Work " * 40, unit_price_cents=100)
    bill = Bill(lines=(line,) * lines)
    return invoice_document(ticket(), bill, datetime.now(UTC), "caller"), SITE, ACCOUNT


def left_in(folder: Path) -> list[Path]:
    """Return what is in a folder."""
    return list(folder.iterdir())


def drawers() -> list[psutil.Process]:
    """Return the processes that draw for this one; servers of other tests are its children, too."""
    found = []
    for child in psutil.Process(os.getpid()).children():
        with suppress(psutil.NoSuchProcess):
            if DRAWER[-1] in child.cmdline():
                found.append(child)
    return found


async def test_the_longest_invoice_costs_the_process_that_serves_next_to_nothing() -> None:
    began = process_time()
    content = await Papers().invoice(*draft(MOST_LINES))
    seconds = process_time() - began

    assert content.startswith(b"%PDF-")
    assert seconds < 0.1


async def test_the_loop_goes_on_while_a_paper_is_drawn() -> None:
    drawing = asyncio.create_task(Papers().invoice(*draft(MOST_LINES)))
    turns = 0
    while not drawing.done():
        await asyncio.wait([drawing], timeout=0.01)
        turns += 1
    assert drawing.result()
    assert turns > 5


async def test_the_same_draft_makes_the_same_bytes() -> None:
    papers, parts = Papers(), draft(3)
    assert await papers.invoice(*parts) == await papers.invoice(*parts)


async def test_who_finds_the_queue_full_is_sent_away_at_once() -> None:
    papers, parts = Papers(most_waiting=1), draft(1)
    asked = [papers.invoice(*parts) for _ in range(7)]
    answers = await asyncio.gather(*asked, return_exceptions=True)

    refused = [answer for answer in answers if isinstance(answer, BusyError)]
    drawn = [answer for answer in answers if isinstance(answer, bytes)]
    assert (len(drawn), len(refused)) == (2, 5)
    assert await papers.invoice(*parts)  # and the queue is open again


@pytest.mark.parametrize("text", ["Line\n" * 1_999, "W" * 10_000, "门无法锁上" * 2_000])
async def test_the_longest_texts_of_a_ticket_are_drawn_in_both_papers(text: str) -> None:
    papers = Papers()
    _, site, account = draft(1)
    bill = Bill(lines=(Line(description=text[:200].strip(), unit_price_cents=100),))
    invoice = invoice_document(ticket(summary=text), bill, datetime.now(UTC), "caller")
    assert await papers.invoice(invoice, site, account)
    told = record(ticket_summary=text, approvals=[approval(reason=text)])
    assert await papers.packet(told, [evidence(text.encode())])


async def test_a_paper_leaves_no_folder_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    assert await Papers().invoice(*draft(1))
    assert left_in(tmp_path) == []


async def test_what_cannot_be_drawn_is_said_and_the_next_paper_is_drawn() -> None:
    papers, (invoice, site, account) = Papers(), draft(1)
    with pytest.raises(NotDrawnError):
        await papers.invoice({}, site, account)
    assert await papers.invoice(invoice, site, account)


async def test_nothing_is_drawn_for_a_caller_who_has_left() -> None:
    papers, parts = Papers(), draft(MOST_LINES)
    drawing = asyncio.create_task(papers.invoice(*parts))

    async def begun() -> bool:
        return bool(drawers())

    async def ended() -> bool:
        return not drawers()

    await eventually(begun)
    drawing.cancel()
    await asyncio.gather(drawing, return_exceptions=True)
    await eventually(ended, within=5)
    assert await papers.invoice(*draft(1))
