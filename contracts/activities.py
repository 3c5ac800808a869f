"""Signatures of the activities; `activities` implements them, workflows call them."""

from abc import ABC, abstractmethod

from temporalio import activity

from contracts.messages import Outcome, SignedCommand, TicketView, TimerFired
from contracts.names import ESCALATE, EXECUTE_COMMAND


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
