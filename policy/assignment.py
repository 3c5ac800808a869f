"""Who can take a job: service types, skills and regions (contract 7.5)."""

import re

from policy.facts import Technician
from policy.model import Ticket

DEFAULT_SKILL = "DEFAULT"
_VERSION_SUFFIX = re.compile(r"_V\d+$", re.ASCII)


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


def matches_service(technician: Technician, service_type: str) -> bool:
    """Whether the technician has the skill DEFAULT or the service type."""
    skills = {normalised_service(skill) for skill in technician.skills}
    return bool(skills & {DEFAULT_SKILL, service_type})


def serves_region(technician: Technician, region: str | None) -> bool:
    """Whether the technician serves the region of a site; a blank region fits everyone."""
    wanted = (region or "").strip().upper()
    served = {
        (name or "").strip().upper() for name in (technician.home_region, *technician.regions)
    }
    return not wanted or wanted in served
