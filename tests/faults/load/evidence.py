"""What is known after a run: what clients saw, and what Postgres and Temporal kept."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum


class Ending(StrEnum):
    """How a request ended for its client; `UNKNOWN` may or may not have taken effect."""

    OK = "ok"
    FAIL = "fail"
    UNKNOWN = "unknown"


@dataclass(frozen=True)
class Call:
    """One request of one client; times are seconds on the one clock of all clients.

    `state` and `version` are what the answer says of the ticket: after a command that took
    effect, at the moment of a read, or before a command that was denied for the state.
    """

    client: str
    actor: str
    tool: str
    ticket: str | None
    key: str
    invoked: float
    ended: float
    ending: Ending
    status: int = 0
    code: str | None = None
    command: str | None = None
    digest: str | None = None
    state: str | None = None
    version: int | None = None

    @property
    def is_read(self) -> bool:
        """Whether it was no command."""
        return not self.key

    @property
    def identity(self) -> tuple[str, str, str]:
        """What makes two requests the same call."""
        return self.actor, self.tool, self.key


@dataclass(frozen=True)
class Event:
    """One audit row of a ticket's chain; `command` is None for what no command did."""

    ticket: str
    seq: int
    hash: str
    prev_hash: str
    command: str | None = None
    before: str | None = None
    after: str | None = None
    version: int | None = None


@dataclass(frozen=True)
class Decision:
    """One row of the command log; `allowed` is None while it is open."""

    command: str
    actor: str
    tool: str
    key: str
    allowed: bool | None
    code: str | None = None
    digest: str | None = None

    @property
    def identity(self) -> tuple[str, str, str]:
        """What makes two commands the same call; a call that was rejected may run again."""
        return self.actor, self.tool, self.key


@dataclass(frozen=True)
class Run:
    """One run of a ticket's workflow; timers by their ids, failures of tasks in words.

    One that was `struck` ended by an operator's hand, whatever it had accepted.
    """

    workflow: str
    signaled: tuple[str, ...] = ()
    failures: tuple[str, ...] = ()
    timers_started: tuple[str, ...] = ()
    timers_fired: tuple[str, ...] = ()
    timers_canceled: tuple[str, ...] = ()
    struck: bool = False


@dataclass(frozen=True)
class Evidence:
    """Everything that the checker judges.

    `states` is state and version of each ticket as stored; `late_timers` are tickets whose timer
    should have rung long ago, `double_timers` what a timer did twice, `escalations` how many there
    are, `broken_records` what the product's own re-check of all its records has found,
    `open_promises` the commands that were promised a decision and have none.
    """

    calls: tuple[Call, ...] = ()
    events: tuple[Event, ...] = ()
    decisions: tuple[Decision, ...] = ()
    runs: tuple[Run, ...] = ()
    states: Mapping[str, tuple[str, int]] = field(default_factory=dict)
    late_timers: tuple[str, ...] = ()
    double_timers: tuple[str, ...] = ()
    escalations: int = 0
    broken_records: tuple[str, ...] = ()
    open_promises: tuple[str, ...] = ()
