"""The sweep of deadlines: its workflow, messages and activities."""

from abc import ABC, abstractmethod

from temporalio import activity

from contracts.command import Message
from contracts.standing import Rounds

DEADLINE_SWEEP = "DeadlineSweep"
SWEEP_DEADLINES = "deadline.sweep"
MEASURE_TIMERS = "timer.measure"


class SweepStart(Rounds):
    """How a `DeadlineSweep` starts; how often it goes round is the span that it reports on."""


class SweptDeadlines(Message):
    """One round of a sweep: overdue tickets found, and escalations raised, holds rolled back."""

    found: int = 0
    seen_to: int = 0


class SweepReport(Message):
    """What a sweep found, and how late timers raised `fired` steps since the last one."""

    found: int
    seen_to: int
    fired: int
    p50_ms: int | None = None
    p99_ms: int | None = None
    max_ms: int | None = None


class SweepActivities(ABC):
    """What the sweep asks of the outside world."""

    @abstractmethod
    @activity.defn(name=SWEEP_DEADLINES)
    async def sweep(self) -> SweptDeadlines:
        """See to a batch of overdue tickets, each as its own timer would; `found` 0 is the end."""

    @abstractmethod
    @activity.defn(name=MEASURE_TIMERS)
    async def measure(self, swept: SweptDeadlines, start: SweepStart) -> SweepReport:
        """Return, and log, what the sweep found and how late timers fired since the last one."""
