"""How calls find a counter, and where its commands go."""

from uuid import UUID

from api.command.call import Call, Found
from policy.codes import Code
from policy.command.effects import Denial
from policy.command.message import Command, Subject
from policy.model import Actor
from policy.values import PayloadModel
from runtime.temporal.destination import Destination
from tests.kinds.counter.contracts import CounterStart, counter_of
from tests.kinds.counter.policy import COUNTER


class CounterAddress:
    """Finds the counter that the payload names."""

    def subject_of(self, call: Call, actor: Actor, key: UUID, payload: PayloadModel) -> Subject:
        """Return the counter."""
        del call, actor, key
        counter_id: UUID = payload.model_dump()["counter_id"]
        return counter_of(counter_id)

    async def denial(
        self, call: Call, actor: Actor, found: Found, payload: PayloadModel
    ) -> Denial | None:
        """Return why the actor's tenant is out of reach, which it never is."""
        del call, found, payload
        return None if actor.tenant_id else Denial(code=Code.FORBIDDEN_SCOPE)


def _start(command: Command) -> CounterStart:
    return CounterStart(tenant_id=command.actor.tenant_id, counter_id=UUID(command.subject.id))


def counter_destination(task_queue: str) -> Destination:
    """Return where commands on counters go."""
    queue = f"{task_queue}-{COUNTER}"
    return Destination("Counter", queue, _start, lambda _: None, lambda _: None)
