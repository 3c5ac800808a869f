"""The steps of a ticket's ladders: which are due now, which comes next, and who is told."""

from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from typing import NamedTuple

from policy.canonical import sha256_hex
from policy.deadlines.history import Escalation, Past
from policy.deadlines.sla import Deadline
from policy.delivery.rows import InsertOutbox
from policy.local_time import Place, moment_text
from policy.model import Ticket
from policy.rules.bundle import Bundle
from policy.rules.escalation import EscalationRules
from policy.values import format_datetime, truncate_to_milliseconds

_MILLISECOND = timedelta(milliseconds=1)


class Step(NamedTuple):
    """A deadline that is not raised yet, and from when on it may be."""

    deadline: Deadline
    at: datetime

    @property
    def awaited(self) -> Deadline:
        """The deadline as the timer awaits it: when it may be raised."""
        if self.at == self.deadline.due_at:
            return self.deadline
        return self.deadline.model_copy(update={"due_at": self.at})


def open_steps(rules: EscalationRules, ahead: Iterable[Deadline], past: Past) -> Iterator[Step]:
    """Yield what may still be raised of `ahead`, each with the instant from which it may be.

    A repeat is left out if a later one of its step was raised, or if the step was acknowledged.
    """
    known = {(each.kind, each.level, each.due_at) for each in past.raised}
    for each in ahead:
        if (each.kind, each.level, each.due_at) in known or _is_over(rules, each, past):
            continue
        yield Step(each, past.snoozed_until(each.kind, each.due_at) or each.due_at)


def due_steps(steps: Iterable[Step], now: datetime) -> list[Step]:
    """Return what is due, in order; of the repeats of a step only the newest."""
    newest: dict[tuple[object, ...], Step] = {}
    for step in sorted(steps, key=lambda step: step.deadline.due_at):
        if step.at <= now:
            each = step.deadline
            newest[each.kind, each.level, each.repeats] = step
    return sorted(newest.values(), key=lambda step: step.deadline.due_at)


def lateness_ms(step: Step, known_at: datetime | None, now: datetime) -> int:
    """Return how late a step is raised; before `known_at` nobody could know of it."""
    since = max(step.at, known_at or step.at)
    return max(0, (now - since) // _MILLISECOND)


def messages(
    bundle: Bundle, ticket: Ticket, raised: Escalation, place: Place
) -> Iterator[tuple[InsertOutbox, datetime]]:
    """Yield the messages of a step, and when each may be sent: after the quiet hours."""
    rules = bundle.escalation
    ladder = rules.ladders[raised.kind]
    send_at = raised.raised_at
    if ladder.quiet_hours is not None and ticket.priority in ladder.quiet_hours.priorities:
        send_at = ladder.quiet_hours.over_at(send_at, place.zone)
    told: set[tuple[str, str]] = set()
    for notice in ladder.notify:
        for address in rules.addresses(notice):
            if (notice.channel, address) not in told:
                told.add((notice.channel, address))
                yield _message(ticket, raised, (notice.channel, address), place), send_at


def _is_over(rules: EscalationRules, each: Deadline, past: Past) -> bool:
    if each.repeats is None:
        return False
    series = [
        raised
        for raised in past.raised
        if (raised.kind, raised.level) == (each.kind, each.level) and raised.due_at >= each.repeats
    ]
    if any(raised.due_at > each.due_at for raised in series):
        return True
    last = max(
        (raised.acknowledged_at for raised in series if raised.acknowledged_at), default=None
    )
    if last is None:
        return False
    rearm = rules.ladders[each.kind].rearm_minutes
    return rearm is None or each.due_at < last + timedelta(minutes=rearm)


def _message(
    ticket: Ticket, due: Escalation, recipient: tuple[str, str], place: Place
) -> InsertOutbox:
    channel, address = recipient
    event_type = f"ticket.escalation.{channel}"
    due_at = format_datetime(truncate_to_milliseconds(due.due_at))
    said = {"kind": due.kind, "level": due.level, "due_at": due_at}
    identity = sha256_hex([str(ticket.id), due.kind, due.level, due_at, address])
    key = f"{ticket.id}:{event_type}:{identity}"
    name = due.kind.replace("_", " ")
    aggregate = {"aggregate_type": "ticket", "aggregate_id": str(ticket.id)}
    payload = {
        "channel": channel.upper(),
        "to": address,
        "body": f"Ticket {ticket.id} ({ticket.priority}, {ticket.state}): {name}, level {due.level}"
        f", due {moment_text(due.due_at, place)}",
        "event_type": event_type,
        **aggregate,
        "payload": {"reason": event_type, **said},
        "message_key": key,
    }
    return InsertOutbox(event_type=event_type, idempotency_key=key, payload=payload, **aggregate)
