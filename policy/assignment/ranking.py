"""Who can take a job: service types, skills and regions, and who is best (contract 7.5, 7.6)."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Any, NamedTuple

from policy.assignment.availability import covers
from policy.assignment.roster import RosterEntry, Technician
from policy.codes import Code
from policy.model import Site, Ticket
from policy.rules.bundle import AssignmentRules
from policy.values import identifier

DEFAULT_SKILL = "DEFAULT"
CAPABILITY_SCORE = 1000
ZONE_SCORE = 200
LOAD_COST = 10
OUTSIDE_HOURS = "OUTSIDE_AVAILABILITY"
OVERLAPPING = "OVERLAPPING_TICKET"
_VERSION_SUFFIX = re.compile(r"_V\d+$", re.ASCII)


@lru_cache(maxsize=1024)  # a few names, asked for again and again
def normalised_service(text: str | None) -> str:
    """Return a service type or skill trimmed, in upper case and without `_V<digits>`."""
    return _VERSION_SUFFIX.sub("", (text or "").strip().upper())


def service_type_of(ticket: Ticket) -> str:
    """Return the service type of a ticket: its incident type, else its summary, else DEFAULT."""
    return (
        normalised_service(ticket.incident_type)
        or normalised_service(ticket.summary)
        or DEFAULT_SKILL
    )


def matches_service(skills: Iterable[str], service_type: str) -> bool:
    """Whether a technician with these skills has DEFAULT or the service type."""
    return any(normalised_service(skill) in {DEFAULT_SKILL, service_type} for skill in skills)


def serves_region(served: Iterable[str | None], region: str | None) -> bool:
    """Whether one of the regions is that of a site; a blank region fits everyone."""
    wanted = _folded(region)
    return not wanted or any(_folded(name) == wanted for name in served)


def misfits(technician: Technician, service_type: str, region: str | None) -> list[str]:
    """Return why the technician could not take a visit at all, whatever the hours and the load."""
    found = []
    if not technician.active:
        found.append(Code.TECH_UNAVAILABLE.value)
    if not matches_service(technician.skills, service_type):
        found.append(Code.ASSIGNMENT_CAPABILITY_MISMATCH.value)
    if not serves_region(technician.served, region):
        found.append(Code.ASSIGNMENT_ZONE_MISMATCH.value)
    return found


def exclusion(technician: Technician, reasons: list[str]) -> dict[str, Any]:
    """Return the technician as a recommendation lists the excluded."""
    return {"tech_id": str(technician.id), "tech_name": technician.name, "reasons": reasons}


class SortedOut(NamedTuple):
    """Who fits a kind of visit, and who does not, as a recommendation lists them."""

    fit: tuple[Technician, ...]
    unfit: tuple[Mapping[str, Any], ...]


def sorted_out(
    technicians: Iterable[Technician], service_type: str, region: str | None
) -> SortedOut:
    """Return the technicians by whether skills and region fit, in their order."""
    fit: list[Technician] = []
    unfit: list[Mapping[str, Any]] = []
    for technician in technicians:
        reasons = misfits(technician, service_type, region)
        if reasons:
            unfit.append(exclusion(technician, reasons))
        else:
            fit.append(technician)
    return SortedOut(tuple(fit), tuple(unfit))


def zone_of(technician: Technician) -> str | None:
    """Return where the technician mainly works."""
    home = (technician.home_region or "").strip()
    return home or max(technician.regions, default=None)


@dataclass(frozen=True)
class Visit:
    """What is to be done: which service, where and when."""

    service_type: str
    site: Site
    start: datetime
    end: datetime


@dataclass(frozen=True)
class Candidate:
    """A technician who can take the visit, with everything that ranks them."""

    technician: RosterEntry
    zone: str | None
    zone_match: bool
    demoted: bool

    @property
    def score(self) -> int:
        """How well the technician fits, 1000 for the capability alone."""
        zone = ZONE_SCORE if self.zone_match else 0
        return CAPABILITY_SCORE + zone - LOAD_COST * self.technician.active_load

    @property
    def order(self) -> tuple[object, ...]:
        """The sort key of contract 7.6; the quality signal is always 0."""
        load = self.technician.active_load
        return (self.demoted, -self.score, load, not self.zone_match, self.technician.id)

    def stored(self) -> dict[str, Any]:
        """Return the candidate as the snapshot keeps it."""
        return {
            "tech_id": str(self.technician.id),
            "tech_name": self.technician.name,
            "zone": self.zone,
            "active_load": self.technician.active_load,
            "quality_signal": 0,
            "service_match": True,
            "zone_match": self.zone_match,
            "score": self.score,
            "distance_bucket": 0 if self.zone_match else 1,
        }

    def answer(self, visit: Visit) -> dict[str, Any]:
        """Return the candidate as a recommendation shows it."""
        technician = self.technician
        return {
            "tech_id": str(technician.id),
            "tech_name": technician.name,
            "score": self.score,
            "matches": {
                "capability": True,
                "zone": self.zone_match,
                "active_load": technician.active_load,
                "distance_bucket": 0 if self.zone_match else 1,
                "available": available(technician, visit),
                "overlapping_ticket_ids": [
                    identifier(ticket) for ticket in technician.overlapping_ticket_ids
                ],
            },
        }


def available(technician: RosterEntry, visit: Visit) -> bool | None:
    """Return whether the technician's hours cover the visit; None without hours."""
    return covers(technician.hours, visit.start, visit.end, visit.site.timezone)


def ranked(
    rules: AssignmentRules, roster: Sequence[RosterEntry], visit: Visit
) -> tuple[list[Candidate], list[dict[str, Any]]]:
    """Return who can take the visit, best first, and who cannot, as a recommendation lists them."""
    candidates: list[Candidate] = []
    excluded: list[dict[str, Any]] = []
    for technician in roster:
        obstacles = _obstacles(rules, technician, visit)
        reasons = [reason for reason, effect in obstacles if effect == "exclude"]
        if reasons:
            excluded.append(exclusion(technician, reasons))
        else:
            candidates.append(_candidate(technician, visit, demoted=bool(obstacles)))
    return sorted(candidates, key=lambda candidate: candidate.order), excluded


def _candidate(technician: RosterEntry, visit: Visit, *, demoted: bool) -> Candidate:
    zone, wanted = zone_of(technician), _folded(visit.site.region)
    return Candidate(technician, zone, not wanted or _folded(zone) == wanted, demoted)


def _obstacles(
    rules: AssignmentRules, technician: RosterEntry, visit: Visit
) -> list[tuple[str, str]]:
    """Return what speaks against the technician: each reason, and whether it excludes or ranks."""
    unfit = misfits(technician, visit.service_type, visit.site.region)
    found = [(reason, "exclude") for reason in unfit]
    if rules.availability != "report" and available(technician, visit) is False:
        found.append((OUTSIDE_HOURS, rules.availability))
    if rules.overlaps != "report" and technician.overlapping_ticket_ids:
        found.append((OVERLAPPING, rules.overlaps))
    return found


def _folded(text: str | None) -> str:
    return (text or "").strip().upper()
