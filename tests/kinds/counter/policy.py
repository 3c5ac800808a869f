"""A counter in the policy: its row, its facts, its effects and its one check."""

from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from policy.codes import Code
from policy.command.case import Case, CommandTool
from policy.command.decide import Judge
from policy.command.effects import Denial, Effects
from policy.command.facts import Facts
from policy.model import Frozen, Role
from policy.rules.bundle import Bundle, load_bundle

COUNTER = "counter"
REST = timedelta(seconds=1)
"""How long after an addition a counter is looked at."""
RULES = {
    f"counter.{verb}": {
        "method": "POST",
        "route": f"/counters/{verb}",
        "roles": [Role.DISPATCHER],
        "subject": COUNTER,
    }
    for verb in ("add", "close")
}


class Counter(Frozen):
    """One row of `counters`. `looks` is how often it was looked at because it was due."""

    id: UUID
    tenant_id: str
    value: int = 0
    closed: bool = False
    version: int = -1
    due_at: datetime | None = None
    looks: int = 0

    def shape(self) -> dict[str, Any]:
        """Return the answer to a command."""
        return {"id": str(self.id), "value": self.value, "version": self.version}


class CounterFacts(Facts):
    """What a decision may look at: the locked counter."""

    counter: Counter | None

    @property
    def value(self) -> int:
        """How far it has counted."""
        return self.counter.value if self.counter else 0


class CounterEffects(Effects):
    """The counter after a command."""

    counter: Counter


def after(case: Case[CounterFacts, Any], **changes: object) -> Counter:
    """Return the counter of a case with `changes`, one version on."""
    actor, facts = case.actor, case.facts
    new = Counter(id=case.payload.counter_id, tenant_id=actor.tenant_id)
    before = facts.counter or new
    moved = {"version": before.version + 1, "due_at": facts.now + REST, **changes}
    return before.model_copy(update=moved)


def closed_denial(case: Case[CounterFacts, Any], _: CommandTool[Any, Any]) -> Denial | None:
    """Return the denial of a command on a closed counter."""
    counter = case.facts.counter
    is_closed = counter is not None and counter.closed
    return Denial(code=Code.INVALID_STATE_TRANSITION) if is_closed else None


JUDGE = Judge(Case, (closed_denial,))


def counting_bundle(overrides: Any = None) -> Bundle:  # noqa: ANN401  as `load_bundle` takes them
    """Return the shipped bundle with the two commands."""
    return load_bundle({**(overrides or {}), "tools": RULES})
