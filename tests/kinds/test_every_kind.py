"""What the command machine promises, for every kind of workflow that stands on it."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from uuid import UUID, uuid4

import httpx
import pytest
import pytest_asyncio
from temporalio.client import WorkflowHandle
from temporalio.common import WorkflowIDConflictPolicy
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.worker import Replayer
from temporalio.worker.workflow_sandbox import SandboxedWorkflowRunner, SandboxRestrictions

from contracts.command import SignedCommand
from contracts.signing import sign
from policy.command.message import Command, Subject, request_hash
from policy.model import Actor, ActorType, Role
from records.audit.verification import Verification
from tests.integration.servers.gateway import TestGateway
from tests.kinds.counter.policy import counting_bundle
from tests.kinds.house import WAITS_AT_GATE, House, house
from tests.kinds.kinds import KINDS, Call, Kind
from tests.kinds.programs import DEFECT, HANG
from tests.polling import eventually
from worker.parts import OUR_PURE_MODULES

pytestmark = [
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS),
]
AT_ONCE, FLOOD, ACCEPTED = 50, 150, 202
LOCK = "SELECT pg_advisory_xact_lock(hashtextextended($1, 0))"
EFFECTS = """
SELECT (SELECT count(*) FROM audit_events WHERE request_id = $1),
       (SELECT count(*) FROM idempotency_keys WHERE request_id = $1),
       (SELECT count(*) FROM command_log WHERE request_id = $1)
"""
REFUSED = "SELECT count(*) FROM command_log WHERE correlation_id = $1 AND decision = 'DENY'"
DECIDED = "SELECT count(*) FROM command_log WHERE request_id = ANY ($1) AND decision = 'ALLOW'"
CODE = "SELECT code FROM command_log WHERE request_id = $1"
ALLOWED = "SELECT count(*) FROM audit_events WHERE correlation_id = $1"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def place(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[House]:
    """Run the servers and programs once for all tests here."""
    async with house(tmp_path_factory.mktemp("kinds")) as running:
        yield running


async def post(  # noqa: PLR0913  one argument for each thing that a test may want otherwise
    place: House,
    call: Call,
    key: str | None = None,
    gateway: int = 0,
    *,
    wait: int = 60,
    correlation_id: str = "",
) -> httpx.Response:
    headers = TestGateway.as_role("dispatcher", Idempotency_Key=key or str(uuid4()))
    headers |= {"Prefer": f"wait={wait}", "X-Correlation-Id": correlation_id}
    return await place.gateways[gateway].post(call.path, json=dict(call.body), headers=headers)


async def begun(place: House, kind: Kind) -> Subject:
    """Make a new subject and return it."""
    answer = await post(place, kind.begin(place.env))
    assert answer.is_success, answer.text
    return kind.subject(answer.json())


async def assert_one_effect(place: House, key: str) -> None:
    async with place.owner() as conn:
        assert tuple(await conn.fetchrow(EFFECTS, UUID(key)) or ()) == (1, 1, 1)


async def test_equal_calls_at_once_over_two_gateways_have_one_effect(
    place: House, kind: Kind
) -> None:
    calls = [kind.begin(place.env), kind.change((await begun(place, kind)).id)]
    for call in calls:
        key = str(uuid4())
        answers = await asyncio.gather(
            *(post(place, call, key, number % 2) for number in range(AT_ONCE))
        )
        assert {answer.is_success for answer in answers} == {True}
        assert len({answer.text for answer in answers}) == 1
        await assert_one_effect(place, key)


async def test_a_worker_killed_inside_the_transaction_leaves_one_effect(
    place: House, kind: Kind
) -> None:
    subject, key = await begun(place, kind), str(uuid4())
    async with place.owner() as conn, conn.transaction():
        await conn.execute(LOCK, kind.lock(subject.id))
        waiting = asyncio.create_task(post(place, kind.change(subject.id), key))

        async def is_inside() -> bool:
            return bool(await conn.fetchval(WAITS_AT_GATE))

        await eventually(is_inside, what="a command inside its transaction")
        await place.kill_worker()
    answer = await waiting
    assert answer.is_success, answer.text
    await assert_one_effect(place, key)


async def test_what_was_promised_is_decided_though_its_workflow_was_terminated(
    place: House, kind: Kind
) -> None:
    subject, keys = await begun(place, kind), [str(uuid4()) for _ in range(5)]
    async with place.owner() as conn, conn.transaction():
        await conn.execute(LOCK, kind.lock(subject.id))
        for key in keys:
            answer = await post(place, kind.change(subject.id), key, wait=0)
            assert answer.status_code == ACCEPTED, answer.text
        await place.engine.get_workflow_handle(subject.workflow_id).terminate("by an operator")

    async with place.owner() as conn:

        async def all_decided() -> bool:
            count: int = await conn.fetchval(DECIDED, [UUID(key) for key in keys])
            return count == len(keys)

        await eventually(all_decided, within=60, what="every promise kept")
    for key in keys:
        await assert_one_effect(place, key)


async def test_a_command_that_fails_by_a_defect_is_refused_and_the_next_one_runs(
    place: House, kind: Kind
) -> None:
    subject = await begun(place, kind)
    answer = await post(place, kind.change(subject.id), correlation_id=DEFECT)
    error = answer.json()["error"]
    assert (answer.status_code, error["code"]) == (500, "INTERNAL_ERROR")
    assert UUID(error["reference"])
    assert (await post(place, kind.change(subject.id))).is_success


@pytest.mark.timeout(300)
async def test_a_command_that_never_ends_is_refused_and_the_next_one_runs(
    place: House, kind: Kind
) -> None:
    subject, key = await begun(place, kind), str(uuid4())
    answer = await post(place, kind.change(subject.id), key, wait=0, correlation_id=HANG)
    assert answer.status_code == ACCEPTED, answer.text
    async with place.owner() as conn:

        async def given_up() -> bool:
            return bool(await conn.fetchval(CODE, UUID(key)) == "INTERNAL_ERROR")

        await eventually(given_up, within=240, what="a refusal")
    assert (await post(place, kind.change(subject.id))).is_success


async def test_a_flood_over_many_runs_is_decided_once_each_in_order(
    place: House, kind: Kind
) -> None:
    subject, flood = await begun(place, kind), str(uuid4())
    sent = [command_of(kind, subject, flood) for _ in range(FLOOD)]
    key = await mac_key(place)
    for command in sent:
        await signal(place, kind, subject, command.tool, sign(key, command))

    async with place.owner() as conn:

        async def all_decided() -> bool:
            return bool(await conn.fetchval(ALLOWED, flood) == FLOOD)

        await eventually(all_decided, within=60, what="all decisions")
        order = await conn.fetch(
            "SELECT command_id FROM audit_events WHERE correlation_id = $1 ORDER BY seq", flood
        )
    assert [row["command_id"] for row in order] == [command.command_id for command in sent]
    assert await runs_of(place, subject) > 1
    assert (await post(place, kind.end(subject.id))).is_success


async def test_what_did_not_come_through_a_gateway_is_refused_and_moves_nothing(
    place: House, kind: Kind
) -> None:
    subject, other, mark = await begun(place, kind), await begun(place, kind), str(uuid4())
    key = await mac_key(place)
    honest = command_of(kind, subject, mark)
    forged = [
        SignedCommand(command=command_of(kind, subject, mark)),
        SignedCommand(command=command_of(kind, subject, mark), mac="0" * 64),
        sign(b"another key", command_of(kind, subject, mark)),
        sign(key, command_of(kind, other, mark)),
        sign(key, honest).model_copy(
            update={"command": honest.model_copy(update={"payload": {"amount": 100}})}
        ),
    ]
    for signed in forged:
        await signal(place, kind, subject, signed.command.tool, signed)
    await signal(place, kind, subject, honest.tool, "no command at all")

    async with place.owner() as conn:

        async def all_refused() -> bool:
            return bool(await conn.fetchval(REFUSED, mark) == len(forged))

        await eventually(all_refused, what="the refusals")
        assert await conn.fetchval(ALLOWED, mark) == 0
    assert (await post(place, kind.change(subject.id))).is_success


async def test_what_is_due_is_seen_to_by_the_timer_once(place: House, kind: Kind) -> None:
    subject = await begun(place, kind)
    for call in kind.overdue(subject.id):
        assert (await post(place, call)).is_success
    async with place.owner() as conn:

        async def seen_to() -> int:
            return int(await conn.fetchval(kind.seen_to, UUID(subject.id)))

        async def all_seen_to() -> bool:
            return await seen_to() == kind.due

        await eventually(all_seen_to, what="what is due")
        assert (await post(place, kind.end(subject.id))).is_success
        assert await seen_to() == kind.due


async def test_every_run_replays_on_the_code_of_today(place: House, kind: Kind) -> None:
    subject = await begun(place, kind)
    assert (await post(place, kind.change(subject.id))).is_success
    assert (await post(place, kind.end(subject.id))).is_success
    after = await post(place, kind.change(subject.id))
    assert after.json()["error"]["code"] == "INVALID_STATE_TRANSITION"
    restrictions = SandboxRestrictions.default.with_passthrough_modules(*OUR_PURE_MODULES, "tests")
    replayer = Replayer(
        workflows=[kind.workflow],
        data_converter=pydantic_data_converter,
        workflow_runner=SandboxedWorkflowRunner(restrictions=restrictions),
    )
    async for execution in place.engine.list_workflows(f"WorkflowType = '{kind.type_name}'"):
        handle: WorkflowHandle[object, object] = place.engine.get_workflow_handle(
            execution.id, run_id=execution.run_id
        )
        await replayer.replay_workflow(await handle.fetch_history())


async def test_every_chain_is_whole_after_all_that(place: House, kind: Kind) -> None:
    del kind
    check = Verification(place.owner_url, frozenset(counting_bundle().pairs))
    assert [fault async for fault in check.faults()] == []


def command_of(kind: Kind, subject: Subject, correlation_id: str) -> Command:
    """Return the change of a subject as a gateway would make it."""
    call, rules = kind.change(subject.id), counting_bundle().tools
    return Command(
        command_id=uuid4(),
        tool=call.tool,
        endpoint=rules[call.tool].route,
        actor=Actor(
            actor_id="dispatcher-1", actor_role=Role.DISPATCHER, actor_type=ActorType.HUMAN
        ),
        request_id=str(uuid4()),
        request_hash=request_hash(dict(call.body), dict(call.parameters)),
        payload=dict(call.body),
        correlation_id=correlation_id,
        submitted_at=datetime.now(UTC),
        **subject.fields,
    )


async def mac_key(place: House) -> bytes:
    async with place.owner() as conn:
        key: bytes = await conn.fetchval(
            "SELECT key FROM installation_keys WHERE name = 'command_mac'"
        )
    return key


async def signal(place: House, kind: Kind, subject: Subject, name: str, argument: object) -> None:
    """Signal the subject's workflow past the gateway, starting it if none runs."""
    await place.engine.start_workflow(
        kind.type_name,
        kind.start(subject),
        id=subject.workflow_id,
        task_queue=kind.queue(place.env["DISPATCH_TEMPORAL_TASK_QUEUE"]),
        id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
        start_signal=name,
        start_signal_args=[argument],
    )


async def runs_of(place: House, subject: Subject) -> int:
    """Return over how many runs the subject's workflow has gone on."""
    count = 0
    async for _ in place.engine.list_workflows(f"WorkflowId = '{subject.workflow_id}'"):
        count += 1
    return count
