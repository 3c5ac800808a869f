"""counter.add: the first addition makes the counter."""

from typing import Annotated, Any

from pydantic import Field

from policy.command.case import Case, CommandTool
from policy.command.effects import Decision
from policy.values import PayloadModel, Uuid
from tests.kinds.counter.policy import CounterEffects, CounterFacts, after


class Payload(PayloadModel):
    """Which counter, and by how much it rises."""

    counter_id: Uuid
    amount: Annotated[int, Field(ge=1, le=100)]


def decide(case: Case[CounterFacts, Payload]) -> Decision:
    """Raise the counter."""
    counter = after(case, value=case.facts.value + case.payload.amount)
    said: dict[str, Any] = {"value": counter.value}
    return CounterEffects(counter=counter, audit=said, body=counter.shape())


TOOL = CommandTool(payload=Payload, decide=decide)
