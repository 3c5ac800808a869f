"""The Ticket workflow: one ticket from intake to closure, one command at a time."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import timedelta
from typing import TypeVar
from uuid import UUID

from temporalio import workflow
from temporalio.common import RawValue, RetryPolicy
from temporalio.exceptions import FailureError

with workflow.unsafe.imports_passed_through():
    from contracts.attributes import from_attributes
    from contracts.command import SignedCommand
    from contracts.ticket import (
        CLOCK_CHANGED,
        Outcome,
        TicketActivities,
        TicketStart,
        TicketView,
        TimerFired,
    )
    from policy.command.message import Command
    from policy.model import Actor, ActorType, Role
    from workflows.command.sealed import is_sealed
    from workflows.ticket.card import card, changed_attributes

LOCAL_LIMIT = timedelta(seconds=5)
ACTIVITY_LIMIT = timedelta(seconds=30)
LONGEST_TIMER = timedelta(days=365)
SHORTEST_TIMER = timedelta(seconds=1)  # the database's clock may be behind the engine's
CARRIED_COMMANDS = 200
CARRY_LESS = "2026-11-carry-less"
DRAIN_ON_CANCEL = "2026-11-drain-on-cancel"
RING_LOCALLY = "2026-11-ring-locally"
ONCE = RetryPolicy(maximum_attempts=1)
FOREVER = RetryPolicy(
    initial_interval=timedelta(milliseconds=200), maximum_interval=timedelta(seconds=10)
)
P = TypeVar("P")
R = TypeVar("R")


@workflow.defn(name="Ticket")
class TicketWorkflow:
    """Own one ticket. Every signal but one is a command, named after its tool."""

    @workflow.init
    def __init__(self, start: TicketStart) -> None:
        self._start = start
        self._ticket = start.ticket
        self._inbox = deque(start.pending)
        self._finished = False
        self._leaving = False
        self._timer: asyncio.Task[None] | None = None
        self._timer_due = workflow.now()
        self._alarm = start.ticket is not None  # a timer that rang in the last run is not lost
        self._attributes: dict[str, str | int] = {}
        if start.ticket is None:  # a run that goes on sets its own anew
            self._attributes = from_attributes(workflow.info().typed_search_attributes)

    @workflow.run
    async def run(self, start: TicketStart) -> TicketView | None:  # noqa: ARG002  read by __init__
        """Execute commands until the ticket is terminal, or was refused, and the inbox empty.

        If an operator cancels the workflow, what was accepted is still executed before it ends;
        the next command starts another run.
        """
        work = asyncio.create_task(self._work())
        try:
            await asyncio.shield(work)
        except asyncio.CancelledError:
            if workflow.patched(DRAIN_ON_CANCEL):
                self._leaving = True
            else:
                work.cancel()
            await work
            if self._leaving:
                raise
        return self._ticket

    async def _work(self) -> None:
        if self._ticket is not None:
            self._follow(self._ticket)
        while self._inbox or not self._finished:
            await workflow.wait_condition(lambda: bool(self._inbox) or self._alarm or self._leaving)
            if self._inbox:
                outcome = await self._execute(self._inbox.popleft())
                self._show(outcome)
            elif self._leaving:
                return
            else:
                self._alarm = False
                self._follow(await self._escalate())
            if workflow.info().is_continue_as_new_suggested() and self._may_continue():
                workflow.continue_as_new(self._next_start())

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
        except Exception:  # whatever was sent, it must not block the ticket
            if is_sealed(args):  # unless the keys are missing: an accepted command waits for them
                raise
            signed = SignedCommand(command=self._unreadable(name))
        self._inbox.append(signed)

    def _is_mine(self, name: str, command: Command) -> bool:
        tenant_id, ticket_id = command.actor.tenant_id, command.ticket_id
        mine = (self._start.tenant_id, self._start.ticket_id)
        return command.tool == name and (tenant_id, ticket_id) == mine

    def _mine(self, signed: SignedCommand) -> SignedCommand:
        """Return a misdirected command as a claim on this ticket, so that no other one is shown."""
        tenant_id, ticket_id = self._start.tenant_id, self._start.ticket_id
        actor = signed.command.actor.model_copy(update={"tenant_id": tenant_id})
        claim: dict[str, object] = {"actor": actor, "ticket_id": ticket_id, "payload": {}}
        return SignedCommand(command=signed.command.model_copy(update=claim))

    async def _execute(self, signed: SignedCommand) -> Outcome:
        command = signed.command
        return await _local_first(
            TicketActivities.execute_command,
            signed,
            summary=f"{command.tool} by {command.actor.actor_role}",
            told={
                "command_id": str(command.command_id),
                "correlation_id": command.correlation_id,
            },
        )

    async def _escalate(self) -> TicketView | None:
        fired = TimerFired(tenant_id=self._start.tenant_id, ticket_id=self._start.ticket_id)
        summary = "escalate what is due"
        if workflow.patched(RING_LOCALLY):
            return await _local_first(TicketActivities.escalate, fired, summary=summary, told={})
        return await _regularly(TicketActivities.escalate, fired, summary)

    def _show(self, outcome: Outcome) -> None:
        ticket = outcome.ticket
        is_old = ticket is not None and (ticket.version > 0 or outcome.code is not None)
        if self._ticket is None and is_old:
            self._alarm = True  # it may have been due before we came
        self._follow(ticket)
        workflow.set_current_details(card(self._ticket, outcome))

    def _follow(self, ticket: TicketView | None) -> None:
        """Take over the ticket as stored, tell the operators, and mind its next deadline."""
        self._ticket = ticket
        self._finished = ticket is None or ticket.terminal
        changed, updates = changed_attributes(self._attributes, ticket)
        if updates:
            self._attributes = changed
            workflow.upsert_search_attributes(updates)
        if ticket is not None:
            self._arm(ticket)

    def _arm(self, ticket: TicketView) -> None:
        """Keep one timer, for the earliest deadline; one that rings early only looks again."""
        ringing = self._timer is not None and not self._timer.done()
        if ticket.terminal or ticket.due_at is None:
            if ringing and ticket.terminal and self._timer is not None:
                self._timer.cancel()
            return
        if ringing and self._timer_due <= ticket.due_at:
            return
        if ringing and self._timer is not None:
            self._timer.cancel()
        self._timer_due = ticket.due_at
        delay = min(max(ticket.due_at - workflow.now(), SHORTEST_TIMER), LONGEST_TIMER)
        self._timer = asyncio.create_task(self._ring(delay, ticket.due_for or "deadline"))

    async def _ring(self, delay: timedelta, reason: str) -> None:
        await workflow.sleep(delay, summary=reason)
        self._alarm = True

    def _may_continue(self) -> bool:
        """Whether another run may take over; a start with a large inbox would be refused."""
        is_small = len(self._inbox) <= CARRIED_COMMANDS or not workflow.patched(CARRY_LESS)
        return is_small and not self._leaving

    def _next_start(self) -> TicketStart:
        return self._start.model_copy(
            update={"ticket": self._ticket, "pending": tuple(self._inbox)}
        )

    def _unreadable(self, name: str) -> Command:
        return Command(
            command_id=workflow.uuid4(),
            tool=name,
            endpoint="(signal)",
            actor=Actor(
                actor_id="unknown",
                actor_role=Role.SYSTEM,
                actor_type=ActorType.SYSTEM,
                tenant_id=self._start.tenant_id,
            ),
            ticket_id=self._start.ticket_id,
            request_id=str(UUID(int=0)),
            request_hash="",
            payload={},
            correlation_id=workflow.info().run_id,
            submitted_at=workflow.now(),
        )


async def _local_first(
    method: Callable[[TicketActivities, P], Awaitable[R]],
    argument: P,
    *,
    summary: str,
    told: Mapping[str, str],
) -> R:
    """Run an activity at once in this task; if that fails, as one that operators can see.

    `told` is what the log says of it.
    """
    try:
        return await workflow.execute_local_activity_method(
            method, argument, start_to_close_timeout=LOCAL_LIMIT, retry_policy=ONCE
        )
    except FailureError as error:  # not always an ActivityError around it
        workflow.logger.warning(
            "the local attempt failed, it goes on as an activity",
            extra={**told, "summary": summary, "cause": str(error.cause or error)},
        )
        return await _regularly(method, argument, summary)


async def _regularly(
    method: Callable[[TicketActivities, P], Awaitable[R]], argument: P, summary: str
) -> R:
    return await workflow.execute_activity_method(
        method,
        argument,
        start_to_close_timeout=ACTIVITY_LIMIT,
        retry_policy=FOREVER,
        summary=summary,
    )
