"""The loop of every kind of workflow: it takes commands one at a time and minds one timer."""

import asyncio
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Sequence
from datetime import timedelta
from typing import Generic, NoReturn, TypeVar
from uuid import UUID

from temporalio import workflow
from temporalio.common import RawValue

with workflow.unsafe.imports_passed_through():
    from contracts.command import CLOCK_CHANGED, Outcome, SignedCommand, View
    from contracts.engine_limits import (
        CARRIED_BYTES,
        CARRIED_COMMANDS,
        HEAD_BYTES,
        INLINE_BYTES,
        SCOPED_ID_BYTES,
        shown_summary,
    )
    from policy.command.message import Command, Subject
    from policy.model import Actor, ActorType, Role
    from workflows.command.sealed import is_sealed

LONGEST_TIMER = timedelta(days=365)
SHORTEST_TIMER = timedelta(seconds=1)  # the database's clock may be behind the engine's
V = TypeVar("V", bound=View)
R = TypeVar("R", bound=Outcome)


class CommandLoop(ABC, Generic[V, R]):
    """Owns one subject. Every signal but one is a command, named after its tool.

    A kind has a workflow that hands its start over, runs `drained`, and says how a command is
    executed, how it looks at what is due, and what operators see. It decides nothing by policy.
    """

    def __init__(
        self, tenant_id: str, subject: Subject, view: V | None, pending: Sequence[SignedCommand]
    ) -> None:
        self.tenant_id = tenant_id
        self.subject = subject
        self.view = view
        self.inbox = deque(pending)
        self._finished = False
        self._leaving = False
        self._timer: asyncio.Task[None] | None = None
        self._timer_due = workflow.now()
        self._alarm = view is not None  # a timer that rang in the last run is not lost

    @abstractmethod
    async def execute(self, signed: SignedCommand) -> R:
        """Have a command decided and recorded."""

    @abstractmethod
    async def look(self) -> V | None:
        """See to what is due; return the subject as it stands."""

    @abstractmethod
    def view_of(self, outcome: R) -> V | None:
        """Return the subject as stored after a command, None when there is none."""

    @abstractmethod
    def show(self, view: V | None, outcome: R | None) -> None:
        """Tell the operators of the subject, and of the command if there was one."""

    @abstractmethod
    def go_on(self) -> NoReturn:
        """Continue as new, with the view and the inbox."""

    def drains(self) -> bool:
        """Whether a cancelled run executes what it has accepted before it ends."""
        return True

    def carries_less(self) -> bool:
        """Whether a large inbox is worked off first; a start with it would be refused."""
        return True

    def carries_few_bytes(self) -> bool:
        """Whether an inbox of few but large commands is worked off first, too."""
        return True

    async def drained(self) -> V | None:
        """Execute commands until the subject is over, or was refused, and the inbox empty.

        If an operator cancels the workflow, what was accepted is still executed before it ends;
        the next command starts another run.
        """
        work = asyncio.create_task(self._work())
        try:
            await asyncio.shield(work)
        except asyncio.CancelledError:
            if self.drains():
                self._leaving = True
            else:
                work.cancel()
            await work
            if self._leaving:
                raise
        return self.view

    async def _work(self) -> None:
        if self.view is not None:
            self._follow(self.view)
        while self.inbox or not self._finished:
            await workflow.wait_condition(lambda: bool(self.inbox) or self._alarm or self._leaving)
            if self.inbox:
                self._take_over(await self.execute(self.inbox.popleft()))
            elif self._leaving:
                return
            else:
                self._alarm = False
                self._follow(await self.look())
            if workflow.info().is_continue_as_new_suggested() and self._may_continue():
                self.go_on()

    @workflow.signal(name=CLOCK_CHANGED)
    def _look_again(self) -> None:
        """Look anew what is due: hours, holds or rules were changed outside of a command."""
        self._alarm = True

    @workflow.signal(dynamic=True)
    def _queue(self, name: str, args: Sequence[RawValue]) -> None:
        """Queue a command; what cannot be read, or was meant for another, loses its MAC."""
        try:
            signed = workflow.payload_converter().from_payload(args[0].payload, SignedCommand)
            signed = signed if self._is_mine(name, signed.command) else self._mine(signed)
        except Exception:  # whatever was sent, it must not block the subject
            if is_sealed(args):  # unless the keys are missing: an accepted command waits for them
                raise
            signed = SignedCommand(command=self._unreadable(name))
        self.inbox.append(signed)

    def _is_mine(self, name: str, command: Command) -> bool:
        meant = (command.tool, command.actor.tenant_id, command.subject)
        return meant == (name, self.tenant_id, self.subject)

    def _mine(self, signed: SignedCommand) -> SignedCommand:
        """Return a misdirected command as a claim on this subject, so that no other is shown."""
        actor = signed.command.actor.model_copy(update={"tenant_id": self.tenant_id})
        claim = {"actor": actor, "payload": {}, **self.subject.fields}
        return SignedCommand(command=signed.command.model_copy(update=claim))

    def _take_over(self, outcome: R) -> None:
        view = self.view_of(outcome)
        is_old = view is not None and (view.version > 0 or outcome.code is not None)
        if self.view is None and is_old:
            self._alarm = True  # it may have been due before we came
        self._follow(view, outcome)

    def _follow(self, view: V | None, outcome: R | None = None) -> None:
        """Take over the subject as stored, tell the operators, and mind what is due next."""
        self.view = view
        self._finished = view is None or view.terminal
        self.show(view, outcome)
        if view is not None:
            self._arm(view)

    def _arm(self, view: V) -> None:
        """Keep one timer, for what is due first; one that rings early only looks again."""
        ringing = self._timer is not None and not self._timer.done()
        if view.terminal or view.due_at is None:
            if ringing and view.terminal and self._timer is not None:
                self._timer.cancel()
            return
        if ringing and self._timer_due <= view.due_at:
            return
        if ringing and self._timer is not None:
            self._timer.cancel()
        self._timer_due = view.due_at
        delay = min(max(view.due_at - workflow.now(), SHORTEST_TIMER), LONGEST_TIMER)
        self._timer = asyncio.create_task(self._ring(delay, view.due_for or "deadline"))

    async def _ring(self, delay: timedelta, reason: str) -> None:
        await workflow.sleep(delay, summary=shown_summary(reason))
        self._alarm = True

    def _may_continue(self) -> bool:
        is_small = len(self.inbox) <= CARRIED_COMMANDS or not self.carries_less()
        is_large = sum(map(_most_bytes, self.inbox)) > CARRIED_BYTES
        if is_small and is_large and self.carries_few_bytes():
            return False
        return is_small and not self._leaving

    def _unreadable(self, name: str) -> Command:
        return Command(
            command_id=workflow.uuid4(),
            tool=name,
            endpoint="(signal)",
            actor=Actor(
                actor_id="unknown",
                actor_role=Role.SYSTEM,
                actor_type=ActorType.SYSTEM,
                tenant_id=self.tenant_id,
            ),
            request_id=str(UUID(int=0)),
            request_hash="",
            payload={},
            correlation_id=workflow.info().run_id,
            submitted_at=workflow.now(),
            **self.subject.fields,
        )


def _most_bytes(signed: SignedCommand) -> int:
    """Return how much a command takes at most where it is carried."""
    actor = signed.command.actor
    scope = len(actor.account_ids or ()) + len(actor.site_ids or ())
    return HEAD_BYTES + INLINE_BYTES + SCOPED_ID_BYTES * scope
