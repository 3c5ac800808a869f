"""Escalation ladders: what a ticket is escalated for, when, how often, and who is told when."""

from collections.abc import Iterator, Mapping
from datetime import datetime, time, timedelta
from typing import Annotated, Literal, Self
from zoneinfo import ZoneInfo

from pydantic import Field, model_validator

from policy.model import TERMINAL, Frozen, Priority, State
from policy.values import later

SLA_KINDS = ("sla_warning", "sla_breach", "sla_double_breach")
"""Raised at every rise of the level of contract 5.3; their position is their level."""
HOLD_EXPIRY = "hold_expiry"
STUCK = "stuck_scheduling"
Channel = Literal["sms"]
Minutes = Annotated[int, Field(ge=1)]


class QuietHours(Frozen):
    """When nobody is told, by the wall clock of the ticket's site; others' tickets ring."""

    begins: time
    ends: time
    priorities: tuple[Priority, ...] = (Priority.URGENT, Priority.ROUTINE)

    @model_validator(mode="after")
    def _lasts(self) -> Self:
        if self.begins == self.ends:
            raise ValueError("quiet hours end at another time than they begin")
        return self

    def over_at(self, moment: datetime, zone: ZoneInfo) -> datetime:
        """Return the end of the quiet hours that `moment` is in, else `moment` itself."""
        local = moment.astimezone(zone)
        at = local.time()
        over_midnight = self.ends < self.begins
        if over_midnight:
            quiet = at >= self.begins or at < self.ends
        else:
            quiet = self.begins <= at < self.ends
        if not quiet:
            return moment
        tomorrow = over_midnight and at >= self.begins
        day = local.date() + timedelta(days=1 if tomorrow else 0)
        over = datetime.combine(day, self.ends, tzinfo=zone).astimezone(moment.tzinfo)
        return max(over, moment)


class Notice(Frozen):
    """Who is told of a step, and by what."""

    role: str
    channel: Channel


class Ladder(Frozen):
    """One kind of escalation.

    `counts_from`: `sla`, the instant of the level itself; `rest`, since when the ticket rests in
    one of `states`; `window_end`, the same but not before the end of the visit's window. Each of
    `after_minutes` is a level. A step repeats `repeats` times; one that was acknowledged repeats no
    more, or again after `rearm_minutes`.
    """

    counts_from: Literal["sla", "rest", "window_end"]
    states: tuple[State, ...] = ()
    after_minutes: tuple[Annotated[int, Field(ge=0)], ...] = (0,)
    repeat_minutes: Minutes | None = None
    repeats: int = Field(default=0, ge=0, le=100)
    rearm_minutes: Minutes | None = None
    quiet_hours: QuietHours | None = None
    notify: tuple[Notice, ...] = ()

    @model_validator(mode="after")
    def _makes_sense(self) -> Self:
        if (self.repeat_minutes is None) != (self.repeats == 0):
            raise ValueError("a ladder repeats after so many minutes, so many times")
        if list(self.after_minutes) != sorted(set(self.after_minutes)) or not self.after_minutes:
            raise ValueError("the levels of a ladder follow each other")
        if self.counts_from == "sla" and (self.states or self.after_minutes != (0,)):
            raise ValueError("an SLA ladder is raised at its level, in every open state")
        if TERMINAL & set(self.states) or (self.counts_from != "sla" and not self.states):
            raise ValueError("a ladder names the open states that it watches")
        return self

    def repeats_of(self, due_at: datetime) -> Iterator[datetime]:
        """Yield when a step that was due is due again."""
        if self.repeat_minutes is not None:
            for turn in range(1, self.repeats + 1):
                yield later(due_at, turn * timedelta(minutes=self.repeat_minutes))


class EscalationRules(Frozen):
    """The ladders by kind; `recipients` are addresses by role and channel."""

    most_snooze_minutes: Minutes
    recipients: Mapping[str, Mapping[Channel, tuple[str, ...]]] = Field(default_factory=dict)
    ladders: Mapping[str, Ladder]

    @model_validator(mode="after")
    def _keeps_the_contract(self) -> Self:
        by_level = {kind for kind, ladder in self.ladders.items() if ladder.counts_from == "sla"}
        if by_level != set(SLA_KINDS):
            raise ValueError("the SLA ladders are those of the contract")
        if STUCK not in self.ladders or HOLD_EXPIRY in self.ladders:
            raise ValueError("stuck scheduling has a ladder, an expired hold is rolled back")
        return self

    def addresses(self, notice: Notice) -> tuple[str, ...]:
        """Return where a notice goes; nowhere if its role is not configured."""
        return self.recipients.get(notice.role, {}).get(notice.channel, ())
