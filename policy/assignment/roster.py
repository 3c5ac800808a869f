"""Technicians, as far as decisions need them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, Self
from uuid import UUID


@dataclass(frozen=True, slots=True)
class Technician:
    """A technician with skills and regions as stored."""

    id: UUID
    name: str
    active: bool
    home_region: str | None
    skills: Sequence[str]
    regions: Sequence[str]

    @property
    def served(self) -> tuple[str | None, ...]:
        """All regions of the technician, that of the home first."""
        return (self.home_region, *self.regions)


class Hours(NamedTuple):
    """A row of a technician's availability: weekday 0 is Sunday, seconds count from midnight."""

    weekday: int
    start_seconds: int
    end_seconds: int


@dataclass(frozen=True, slots=True)
class RosterEntry(Technician):
    """A technician with what a recommendation weighs.

    `overlapping_ticket_ids` are other open tickets of the technician in the ticket's window. Not a
    model, since there are thousands of them and Postgres vouches for each.
    """

    active_load: int = 0
    overlapping_ticket_ids: Sequence[UUID] = ()
    hours: Sequence[Hours] = ()

    @classmethod
    def of(
        cls, who: Technician, active_load: int, tickets: Sequence[UUID], hours: Sequence[Hours]
    ) -> Self:
        """Return a technician with open tickets, those in the window, and working hours."""
        stored = (who.id, who.name, who.active, who.home_region, who.skills, who.regions)
        return cls(*stored, active_load, tickets, hours)
