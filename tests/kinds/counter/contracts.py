"""A counter between processes: its messages and activities."""

from abc import ABC, abstractmethod
from uuid import UUID

from temporalio import activity

from contracts.command import Message, Outcome, SignedCommand, View
from policy.command.message import Subject
from tests.kinds.counter.policy import COUNTER


def counter_of(counter_id: UUID) -> Subject:
    """Return a counter as a subject."""
    return Subject(kind=COUNTER, id=str(counter_id))


class CounterView(View):
    """What the workflow keeps of a counter."""

    value: int


class CounterOutcome(Outcome):
    """What became of a command, and the counter as stored after it."""

    counter: CounterView | None = None


class CounterStart(Message):
    """How a `Counter` workflow starts, and what a run hands to the next one."""

    tenant_id: str
    counter_id: UUID
    counter: CounterView | None = None
    pending: tuple[SignedCommand, ...] = ()


class CounterDue(Message):
    """A counter may be due."""

    tenant_id: str
    counter_id: UUID


class CounterActivities(ABC):
    """What a counter's workflow asks of the outside world."""

    @abstractmethod
    @activity.defn(name="counter.execute_command")
    async def execute_command(self, signed: SignedCommand) -> CounterOutcome:
        """Decide a command and record it."""

    @abstractmethod
    @activity.defn(name="counter.look")
    async def look(self, due: CounterDue) -> CounterView | None:
        """Count a look if one is due; return the counter as it stands."""
