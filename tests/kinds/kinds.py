"""Every kind of workflow, as the tests that hold for all of them see it. A new kind is one line."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple
from uuid import UUID, uuid4

from pydantic import BaseModel

from contracts.command import Outcome
from contracts.ticket import TicketOutcome, TicketStart
from policy.command.message import Subject
from runtime.settings import load_settings
from tests.integration.servers.gateway import TestGateway
from tests.kinds.counter.contracts import CounterOutcome, CounterStart, counter_of
from tests.kinds.counter.workflow import CounterWorkflow
from workflows.ticket.workflow import TicketWorkflow


class Call(NamedTuple):
    """One command: the tool, where it is posted, what is sent, and which path parameters it has."""

    tool: str
    path: str
    body: Mapping[str, Any]
    parameters: Mapping[str, str] = {}


class Kind(NamedTuple):
    """One kind of workflow and what its subjects are asked for.

    `begin` makes a new subject, `change` is allowed again and again until `end`. `lock` is the text
    that its transactions lock. After `overdue` something is due at once or in a moment; `seen_to`
    is SQL that counts how often that was seen to, `due` how often it must be.
    """

    workflow: type
    type_name: str
    outcome: type[Outcome]
    start: Callable[[Subject], BaseModel]
    queue: Callable[[str], str]
    begin: Callable[[Mapping[str, str]], Call]
    subject: Callable[[Mapping[str, Any]], Subject]
    change: Callable[[str], Call]
    end: Callable[[str], Call]
    lock: Callable[[str], str]
    overdue: Callable[[str], Sequence[Call]]
    seen_to: str
    due: int


def new_ticket(env: Mapping[str, str]) -> Call:
    """Return the creation of a ticket."""
    settings, _ = load_settings(env)
    place = {"account_id": str(settings.demo_account_id), "site_id": str(settings.demo_site_id)}
    return Call("ticket.create", "/tickets", {**place, "summary": "Door does not latch"})


def on_ticket(tool: str, path: str, ticket_id: str, body: Mapping[str, Any]) -> Call:
    """Return a command on a ticket."""
    return Call(tool, f"/tickets/{ticket_id}/{path}", body, {"ticketId": ticket_id})


def note(ticket_id: str) -> Call:
    """Return the addition of a note to a ticket."""
    body = {"kind": "NOTE", "uri": f"s3://notes/{uuid4()}"}
    return on_ticket("closeout.add_evidence", "evidence", ticket_id, body)


def visit_that_was_yesterday(ticket_id: str) -> Sequence[Call]:
    """Return what makes every deadline of an emergency pass at once."""
    urgent = {
        "priority": "EMERGENCY",
        "incident_type": "DOOR_WONT_LATCH",
        "ready_to_schedule": True,
    }
    past = {"options": [TestGateway.window(-24)]}
    return (
        on_ticket("ticket.triage", "triage", ticket_id, urgent),
        on_ticket("schedule.propose", "schedule/propose", ticket_id, past),
    )


KINDS: Mapping[str, Kind] = {
    "ticket": Kind(
        workflow=TicketWorkflow,
        type_name="Ticket",
        outcome=TicketOutcome,
        start=lambda it: TicketStart(tenant_id="default", ticket_id=UUID(it.id)),
        queue=lambda queue: queue,
        begin=new_ticket,
        subject=lambda answer: Subject.of_ticket("default", UUID(answer["id"])),
        change=note,
        end=lambda it: on_ticket("ticket.cancel", "cancel", it, {"reason": "the end"}),
        lock=lambda it: it,
        overdue=visit_that_was_yesterday,
        seen_to="SELECT count(*) FROM ticket_escalations WHERE ticket_id = $1",
        due=3,  # warning, breach and double breach
    ),
    "counter": Kind(
        workflow=CounterWorkflow,
        type_name="Counter",
        outcome=CounterOutcome,
        start=lambda it: CounterStart(tenant_id="default", counter_id=UUID(it.id)),
        queue=lambda queue: f"{queue}-counter",
        begin=lambda _: Call(
            "counter.add", "/counters/add", {"counter_id": str(uuid4()), "amount": 1}
        ),
        subject=lambda answer: counter_of(UUID(answer["id"])),
        change=lambda it: Call("counter.add", "/counters/add", {"counter_id": it, "amount": 1}),
        end=lambda it: Call("counter.close", "/counters/close", {"counter_id": it}),
        lock=lambda it: f"counter {it}",
        overdue=lambda _: (),
        seen_to="SELECT looks FROM counters WHERE id = $1",
        due=1,
    ),
}
