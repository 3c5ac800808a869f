"""Instants, windows and durations as people read them."""

import subprocess
import sys
from datetime import UTC, datetime, timedelta

import pytest

from policy.command.effects import Effects
from policy.delivery.rows import InsertOutbox
from policy.local_time import duration_text, moment_text, place_of, window_text
from policy.model import Site, State
from tests.unit.facts_builder import judge, ticket
from tests.unit.payloads import ACCOUNT, SITE

JANUARY = datetime(2030, 1, 7, 16, tzinfo=UTC)
HOUR = timedelta(hours=1)


def confirmed(site: Site) -> str:
    """Return what the customer is told of a window of two hours."""
    window = {"start": "2030-01-07T16:00:00Z", "end": "2030-01-07T18:00:00Z"}
    job = ticket(state=State.SCHEDULE_PROPOSED)
    effects = judge("schedule.confirm", payload=window, ticket=job, site=site)
    assert isinstance(effects, Effects)
    (message,) = effects.writes
    assert isinstance(message, InsertOutbox)
    return str(message.payload["body"])


@pytest.mark.parametrize(
    ("timezone", "country", "told"),
    [
        ("America/Los_Angeles", "US", "Mon 7 Jan, 8:00-10:00 AM PST"),
        ("Europe/Berlin", "DE", "Mon 7 Jan, 17:00-19:00 CET"),
        ("Australia/Sydney", "AU", "Tue 8 Jan, 3:00-5:00 AM AEDT"),
        ("Mars/Olympus", "DE", "Mon 7 Jan, 16:00-18:00 UTC"),
    ],
)
def test_a_customer_reads_the_window_by_the_clocks_of_the_site(
    timezone: str, country: str, told: str
) -> None:
    site = Site(id=SITE, account_id=ACCOUNT, timezone=timezone, country=country)
    assert confirmed(site) == f"Your visit is confirmed: {told}."


@pytest.mark.parametrize(
    ("start", "hours", "told"),
    [
        (JANUARY + 3 * HOUR, 2, "Mon 7 Jan, 11:00 AM-1:00 PM PST"),
        (JANUARY + 14 * HOUR, 4, "Mon 7 Jan, 10:00 PM PST - Tue 8 Jan, 2:00 AM PST"),
        (
            datetime(2030, 3, 10, 9, 30, tzinfo=UTC),
            2,
            "Sun 10 Mar, 1:30 AM PST - Sun 10 Mar, 4:30 AM PDT",
        ),
    ],
)
def test_what_both_ends_have_in_common_is_said_once(start: datetime, hours: int, told: str) -> None:
    place = place_of("America/Los_Angeles", "US")
    assert window_text(start, start + hours * HOUR, place) == told


@pytest.mark.parametrize("timezone", ["Pacific/Kiritimati", "Pacific/Pago_Pago", "UTC"])
def test_either_end_of_the_calendar_can_be_told(timezone: str) -> None:
    place = place_of(timezone, "KI")
    for at in (datetime(1, 1, 1, tzinfo=UTC), datetime.max.replace(tzinfo=UTC)):
        assert moment_text(at, place)


@pytest.mark.parametrize(
    ("minutes", "text"),
    [
        (27286, "18 d 22 h"),
        (27286 * 60 + 36, "1136 d 22 h"),
        (-3000, "-2 d 2 h"),
        (1440, "1 d"),
        (1443, "1 d"),
        (61, "1 h 1 min"),
        (60, "1 h"),
        (-1, "-1 min"),
        (0, "0 min"),
    ],
)
def test_a_duration_is_told_by_its_two_largest_units(minutes: int, text: str) -> None:
    assert duration_text(minutes) == text


def test_neither_workflows_nor_the_terminal_load_the_libraries_of_languages() -> None:
    program = (
        "import sys, workflows.ticket.workflow, cli.main, policy.tools.schedule.confirm;"
        "print(sorted({'babel', 'phonenumbers'} & {name.split('.')[0] for name in sys.modules}))"
    )
    run = subprocess.run(  # noqa: S603  our own interpreter
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert run.stdout.strip() == "[]"
