"""Signatures of the activities; `activities` implements them, workflows call them."""

from abc import ABC, abstractmethod

from temporalio import activity

from contracts.command import (
    AUDIT_EVIDENCE,
    ESCALATE,
    EXECUTE_COMMAND,
    MEASURE_TIMERS,
    SWEEP_DEADLINES,
    SWEEP_UPLOADS,
)
from contracts.ticket import (
    Audited,
    Outcome,
    SignedCommand,
    SweepReport,
    SweepStart,
    Swept,
    SweptDeadlines,
    TicketView,
    TimerFired,
)


class TicketActivities(ABC):
    """What a ticket workflow asks of the outside world."""

    @abstractmethod
    @activity.defn(name=EXECUTE_COMMAND)
    async def execute_command(self, signed: SignedCommand) -> Outcome:
        """Decide a command and record verdict, audit and new state in one transaction.

        Idempotent on the command's id: a retry gets the first outcome.
        """

    @abstractmethod
    @activity.defn(name=ESCALATE)
    async def escalate(self, fired: TimerFired) -> TicketView | None:
        """Record every escalation that is due, each once; return the ticket as it stands."""


class EvidenceActivities(ABC):
    """What is done with evidence at set times, for all tenants."""

    @abstractmethod
    @activity.defn(name=SWEEP_UPLOADS)
    async def sweep_uploads(self) -> Swept:
        """Give up uploads whose time is over and remove their bytes; never a finalized one's."""

    @abstractmethod
    @activity.defn(name=AUDIT_EVIDENCE)
    async def audit(self) -> Audited:
        """Hash stored evidence again, as much as the rate allows, and record what differs."""


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
