"""The counter's activities over Postgres, and the worker that runs them."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID, uuid4

from temporalio import activity
from temporalio.worker import Worker

from activities.command.opening import Opening, opened
from activities.command.recording import Recorder, Said, statement, tenant_chain
from activities.command.transaction import Asked, Transactions
from contracts.command import SignedCommand
from contracts.statements import SET_TENANT
from policy.command.message import Command
from policy.rules.bundle import Bundle
from runtime.postgres.pool import Connection, Pool
from tests.kinds.counter.contracts import (
    CounterActivities,
    CounterDue,
    CounterOutcome,
    CounterView,
)
from tests.kinds.counter.policy import (
    COUNTER,
    JUDGE,
    Counter,
    CounterEffects,
    CounterFacts,
)
from tests.kinds.counter.workflow import CounterWorkflow
from worker.parts import Parts, worker_of

BEGIN = "SELECT * FROM begin_counter_command($1, $2, $3, $4, $5, $6)"
RECORD = statement("""
counter AS (
    INSERT INTO counters
    SELECT r.* FROM doc, jsonb_populate_record(NULL::counters, d->'counter') r
     WHERE jsonb_typeof(d->'counter') = 'object'
    ON CONFLICT (id) DO UPDATE SET value = excluded.value, closed = excluded.closed,
        version = excluded.version, due_at = excluded.due_at
)
""")
LOOK = """
UPDATE counters SET looks = looks + 1, due_at = NULL WHERE id = $1 AND due_at <= now()
"""
READ = "SELECT * FROM counters WHERE id = $1"


@dataclass(frozen=True)
class CounterOpening(Opening):
    """What was true of the counter."""

    counter: Counter | None


class CounterAggregate:
    """Counters, as the machine's transaction sees them."""

    judge = JUDGE
    statement = RECORD

    def __init__(self, bundle: Bundle) -> None:
        self._bundle = bundle

    async def outside(self, command: Command, payload: Asked) -> Mapping[str, Any]:
        """Return nothing: a counter needs nothing from outside."""
        del command, payload
        return {}

    async def open(self, conn: Connection, command: Command) -> CounterOpening:
        """Take the counter's lock."""
        actor, subject = command.actor, command.subject
        row = await conn.fetchrow(
            BEGIN,
            actor.tenant_id,
            command.command_id,
            UUID(subject.id) if subject.kind == COUNTER else None,
            actor.actor_id,
            command.endpoint,
            UUID(command.request_id),
        )
        found = dict(row or {})
        return CounterOpening(**opened(found), counter=counter_in(found["counter"]))

    async def facts(
        self,
        conn: Connection,
        command: Command,
        payload: Asked,
        opening: CounterOpening,
        outside: Mapping[str, Any],
    ) -> CounterFacts:
        """Return the counter."""
        del conn, command, payload, outside
        ids = (uuid4(), uuid4())
        return CounterFacts(now=opening.now, audit_id=uuid4(), new_ids=ids, counter=opening.counter)

    async def apply(
        self,
        conn: Connection,
        command: Command,
        opening: CounterOpening,
        facts: CounterFacts,
        effects: CounterEffects,
    ) -> CounterOutcome:
        """Write the counter."""
        del opening
        chain = await tenant_chain(conn, command.actor.tenant_id)
        recorder = Recorder(conn, self._bundle, command, RECORD)
        rows = {"counter": effects.counter.model_dump(mode="json")}
        body = effects.body or {}
        await recorder.allow(facts, effects, chain, Said(), rows=rows, body=body)
        return outcome(command, None, effects.counter)

    async def unchanged(
        self, conn: Connection, command: Command, opening: CounterOpening, code: str | None
    ) -> CounterOutcome:
        """Return the counter as it was opened."""
        del conn
        return outcome(command, code, opening.counter)

    def untold(self, command: Command, code: str | None) -> CounterOutcome:
        """Return the outcome without the counter."""
        return outcome(command, code, None)


class PostgresCounterActivities(CounterActivities):
    """The activities over an injected pool."""

    def __init__(self, pool: Pool, bundle: Bundle, key: bytes) -> None:
        self._pool = pool
        self._commands = Transactions(pool, bundle, key, CounterAggregate(bundle))

    @activity.defn(name="counter.execute_command")
    async def execute_command(self, signed: SignedCommand) -> CounterOutcome:
        """Decide a command and record it."""
        return await self._commands.execute(signed)

    @activity.defn(name="counter.look")
    async def look(self, due: CounterDue) -> CounterView | None:
        """Count a look if one is due; return the counter as it stands."""
        async with self._pool.acquire() as conn, conn.transaction():
            await conn.execute(SET_TENANT, due.tenant_id)
            await conn.execute(LOOK, due.counter_id)
            return view(counter_in(await conn.fetchrow(READ, due.counter_id)))


def counter_worker(parts: Parts) -> Worker:
    """Return the worker that runs counters, on a task queue of their own."""
    counters = PostgresCounterActivities(parts.pool, parts.bundle, parts.key)
    queue = f"{parts.settings.temporal_task_queue}-{COUNTER}"
    return worker_of(parts, queue, [CounterWorkflow], [counters.execute_command, counters.look])


def counter_in(row: Any) -> Counter | None:  # noqa: ANN401  a record, or none
    """Return the counter in a row of `counters`."""
    return Counter(**dict(row)) if row and row["id"] else None


def view(counter: Counter | None) -> CounterView | None:
    """Return what the workflow keeps of a counter."""
    if counter is None:
        return None
    return CounterView(
        version=counter.version,
        terminal=counter.closed,
        due_at=counter.due_at,
        due_for="a look",
        value=counter.value,
    )


def outcome(command: Command, code: str | None, counter: Counter | None) -> CounterOutcome:
    """Return what became of a command."""
    shown = view(counter)
    return CounterOutcome(
        command_id=command.command_id, tool=command.tool, code=code, counter=shown
    )
