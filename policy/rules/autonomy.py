"""The autonomy ladder: what automation may do by itself, per tool and incident type.

One truth table, asked by whoever plans an action and again, under the ticket's lock, by whatever
carries it out.
"""

from collections.abc import Mapping
from enum import StrEnum

from policy.model import Frozen

ANY_TYPE = "*"


class Level(StrEnum):
    """How far automation may go."""

    OFF = "off"
    SHADOW = "shadow"
    AUTO = "auto"


class Verdict(StrEnum):
    """Whether automation may run a tool now, or what keeps it."""

    RUN = "run"
    PAUSED = "paused"
    OFF = "off"
    SHADOW = "shadow"


class AutonomyRules(Frozen):
    """Levels by tool and incident type. A proposal only records what would be done."""

    default: Level
    proposals: tuple[str, ...]
    ladder: Mapping[str, Mapping[str, Level]]

    def level(self, tool: str, incident_type: str | None) -> Level:
        """Return the level of a tool: that of the incident type, of any type, or the default."""
        levels = self.ladder.get(tool, {})
        named = (incident_type or "").strip().upper()
        return levels.get(named, levels.get(ANY_TYPE, self.default))

    def verdict(self, tool: str, incident_type: str | None, *, paused: bool) -> Verdict:
        """Return whether automation may run `tool` on a ticket of this type."""
        level = self.level(tool, incident_type)
        return verdict(level, paused=paused, proposes=tool in self.proposals)


def verdict(level: Level, *, paused: bool, proposes: bool) -> Verdict:
    """Return the cell of the truth table. In the shadow only a proposal may run."""
    if paused:
        return Verdict.PAUSED
    match level:
        case Level.OFF:
            return Verdict.OFF
        case Level.SHADOW:
            return Verdict.RUN if proposes else Verdict.SHADOW
        case Level.AUTO:
            return Verdict.RUN
