"""The ticket workflow: one command at a time, and nothing that a signal holds can stop it."""

import warnings
from uuid import uuid4

import pytest
from temporalio.api.common.v1 import Payload
from temporalio.client import WorkflowExecutionStatus, WorkflowFailureError
from temporalio.common import RawValue
from temporalio.exceptions import CancelledError
from temporalio.workflow import UnfinishedSignalHandlersWarning

from contracts.command import SignedCommand
from contracts.signing import sign
from tests.polling import eventually
from tests.workflow.driver import TENANT, TicketDriver
from tests.workflow.memory import KEY

pytest_plugins = ["tests.workflow.time_skipping"]
pytestmark = pytest.mark.asyncio(loop_scope="module")


def unknown_encoding(data: bytes) -> RawValue:
    return RawValue(Payload(metadata={"encoding": b"json/unheard-of"}, data=data))


def as_json(data: bytes) -> RawValue:
    return RawValue(Payload(metadata={"encoding": b"json/plain"}, data=data))


UNREADABLE = {
    "nothing": (),
    "a number": (7,),
    "no command": ({"command": {}},),
    "no encoding": (RawValue(Payload(data=b"{}")),),
    "an unknown encoding": (unknown_encoding(b"{}"),),
    "an encoding that is no text": (RawValue(Payload(metadata={"encoding": b"\xff"})),),
    "bytes": (b"\x00\x01",),
    "broken JSON": (as_json(b'{"command": '),),
    "broken UTF-8": (as_json(b'{"command": "\xff"}'),),
    "deep nesting": (as_json(b"[" * 100_000),),
}


async def close(ticket: TicketDriver) -> None:
    """Cancel the ticket and see its workflow complete."""
    cancel = await ticket.send("ticket.cancel")
    assert (await ticket.outcome(cancel)).code is None
    await eventually(lambda: is_completed(ticket), what="completion")


async def is_completed(ticket: TicketDriver) -> bool:
    return (await ticket.handle.describe()).status is WorkflowExecutionStatus.COMPLETED


async def test_commands_run_one_at_a_time_in_order_of_arrival(ticket: TicketDriver) -> None:
    ticket.activities.gate.clear()
    tools = ["ticket.create", *["ticket.triage"] * 7, "ticket.cancel"]
    sent = [(await ticket.send(tool)).command_id for tool in tools]
    ticket.activities.gate.set()

    executed = await ticket.executed(len(tools))
    assert [signed.command.command_id for signed in executed] == sent
    assert ticket.activities.most_running == 1


async def test_a_denied_command_is_recorded_and_moves_nothing(ticket: TicketDriver) -> None:
    create = await ticket.send("ticket.create")
    arrival = await ticket.send("tech.check_in")
    triage = await ticket.send("ticket.triage")

    outcomes = [await ticket.outcome(each) for each in (create, arrival, triage)]
    assert [outcome.code for outcome in outcomes] == [None, "INVALID_STATE_TRANSITION", None]
    views = [outcome.ticket for outcome in outcomes if outcome.ticket]
    assert [(view.state, view.version) for view in views] == [
        ("NEW", 0),
        ("NEW", 0),
        ("TRIAGED", 1),
    ]


async def test_a_terminal_ticket_answers_what_still_arrives_and_then_completes(
    ticket: TicketDriver,
) -> None:
    ticket.activities.gate.clear()
    await ticket.send("ticket.create")
    await ticket.send("ticket.cancel")
    late = [await ticket.send("ticket.triage") for _ in range(3)]
    ticket.activities.gate.set()

    assert (await ticket.handle.result()).state == "CANCELLED"
    codes = [(await ticket.outcome(each)).code for each in late]
    assert codes == ["INVALID_STATE_TRANSITION"] * 3


async def test_a_command_after_completion_starts_a_run_that_denies_and_completes(
    ticket: TicketDriver,
) -> None:
    await ticket.send("ticket.create")
    await close(ticket)
    first_run = (await ticket.handle.describe()).run_id

    late = await ticket.send("ticket.triage")
    assert (await ticket.outcome(late)).code == "INVALID_STATE_TRANSITION"
    await eventually(lambda: is_completed(ticket), what="completion")
    assert (await ticket.handle.describe()).run_id != first_run


async def test_a_refused_creation_leaves_no_workflow_behind(ticket: TicketDriver) -> None:
    early = await ticket.send("ticket.triage")

    outcome = await ticket.outcome(early)
    assert (outcome.code, outcome.ticket) == ("INVALID_STATE_TRANSITION", None)
    await eventually(lambda: is_completed(ticket), what="completion")


async def test_a_cancelled_workflow_executes_what_it_had_accepted(ticket: TicketDriver) -> None:
    await ticket.outcome(await ticket.send("ticket.create"))
    ticket.activities.local_fault = ConnectionError("the database is away")
    ticket.activities.gate.clear()
    waiting = [await ticket.send("ticket.triage") for _ in range(4)]
    await eventually(lambda: is_running(ticket), what="the first of them")
    await ticket.handle.cancel()
    await eventually(lambda: is_told_to_cancel(ticket), what="the cancellation")
    waiting.append(await ticket.send("ticket.triage"))
    ticket.activities.gate.set()

    with pytest.raises(WorkflowFailureError) as failure:
        await ticket.handle.result()
    assert isinstance(failure.value.cause, CancelledError)
    codes = [(await ticket.outcome(each)).code for each in waiting]
    assert codes == [None, *["INVALID_STATE_TRANSITION"] * 4]
    executed = [signed.command.command_id for signed in ticket.activities.executed[1:]]
    assert executed == [command.command_id for command in waiting]


async def test_an_idle_workflow_can_be_cancelled_and_the_next_command_starts_another_run(
    ticket: TicketDriver,
) -> None:
    await ticket.outcome(await ticket.send("ticket.create"))
    await ticket.handle.cancel()
    with pytest.raises(WorkflowFailureError):
        await ticket.handle.result()

    triage = await ticket.send("ticket.triage")
    assert (await ticket.outcome(triage)).code is None
    await close(ticket)


async def is_running(ticket: TicketDriver) -> bool:
    return ticket.activities.running == 1


async def is_told_to_cancel(ticket: TicketDriver) -> bool:
    kind = "workflow_execution_cancel_requested_event_attributes"
    events = (await ticket.handle.fetch_history()).events
    return any(event.HasField(kind) for event in events)  # type: ignore[arg-type]


@pytest.mark.parametrize("arguments", UNREADABLE.values(), ids=UNREADABLE)
async def test_an_unreadable_signal_reaches_the_activity_without_a_mac(
    ticket: TicketDriver, arguments: tuple[object, ...]
) -> None:
    await ticket.send("ticket.create")
    await ticket.signal("ticket.triage", *arguments)

    claim = (await ticket.executed(2))[1]
    assert claim.mac == ""
    assert (claim.command.tool, claim.command.endpoint) == ("ticket.triage", "(signal)")
    assert (claim.command.actor.tenant_id, claim.command.ticket_id) == (TENANT, ticket.ticket_id)
    await close(ticket)


async def test_an_unsigned_signal_is_denied_and_the_next_one_runs(ticket: TicketDriver) -> None:
    await ticket.send("ticket.create")
    forged = ticket.command("ticket.cancel")
    await ticket.signal("ticket.cancel", SignedCommand(command=forged, mac="0" * 64))
    triage = await ticket.send("ticket.triage")

    assert (await ticket.outcome(forged)).code == "INVALID_AUTH_TOKEN"
    assert (await ticket.outcome(triage)).code is None


async def test_a_signal_under_another_tools_name_loses_its_mac(ticket: TicketDriver) -> None:
    await ticket.send("ticket.create")
    signed = sign(KEY, ticket.command("ticket.cancel"))
    await ticket.signal("ticket.triage", signed)

    claim = (await ticket.executed(2))[1]
    assert (claim.command.command_id, claim.mac) == (signed.command.command_id, "")
    assert ticket.activities.views[ticket.ticket_id].state == "NEW"


@pytest.mark.parametrize("field", ["ticket_id", "tenant_id"])
async def test_a_command_for_another_ticket_is_a_claim_on_this_one(
    ticket: TicketDriver, field: str
) -> None:
    """Else its outcome would be shown here, and could end this ticket's workflow."""
    await ticket.send("ticket.create")
    stolen = ticket.command("ticket.triage", ticket_id=uuid4())
    if field == "tenant_id":
        actor = stolen.actor.model_copy(update={"tenant_id": "other"})
        stolen = ticket.command("ticket.triage", actor=actor)
    await ticket.signal("ticket.triage", sign(KEY, stolen))

    claim = (await ticket.executed(2))[1]
    assert claim.mac == ""
    assert (claim.command.actor.tenant_id, claim.command.ticket_id) == (TENANT, ticket.ticket_id)
    await close(ticket)


async def test_a_failed_local_activity_is_repeated_as_one_that_operators_see(
    ticket: TicketDriver,
) -> None:
    ticket.activities.local_fault = ConnectionError("the database is away")
    create = await ticket.send("ticket.create")
    assert (await ticket.outcome(create)).code is None

    ticket.activities.local_fault = None
    triage = await ticket.send("ticket.triage")
    assert (await ticket.outcome(triage)).code is None
    assert ticket.activities.was_local == [False, True]
    events = (await ticket.handle.fetch_history()).events
    assert sum(e.HasField("activity_task_scheduled_event_attributes") for e in events) == 1


async def test_a_handler_that_is_not_finished_is_an_error_here() -> None:
    with pytest.raises(UnfinishedSignalHandlersWarning):
        warnings.warn("left behind", UnfinishedSignalHandlersWarning, stacklevel=1)
