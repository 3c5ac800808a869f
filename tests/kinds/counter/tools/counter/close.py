"""counter.close: nothing is added any more."""

from policy.command.case import Case, CommandTool
from policy.command.effects import Decision
from policy.values import PayloadModel, Uuid
from tests.kinds.counter.policy import CounterEffects, CounterFacts, after


class Payload(PayloadModel):
    """Which counter."""

    counter_id: Uuid


def decide(case: Case[CounterFacts, Payload]) -> Decision:
    """Close the counter."""
    counter = after(case, closed=True)
    return CounterEffects(counter=counter, audit={"closed": True}, body=counter.shape())


TOOL = CommandTool(payload=Payload, decide=decide)
