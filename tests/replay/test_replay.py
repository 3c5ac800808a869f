"""Recorded histories run on the code of today, whatever the policy says by now.

All random lifecycles run as they are, some under other bundles and releases; `make replay`: all.
"""

import lzma
import os
import re
import time
from collections.abc import AsyncIterator, Iterator, Mapping
from pathlib import Path

import orjson
import pytest
from google.protobuf.message import Message
from temporalio import workflow
from temporalio.api.common.v1 import Payload
from temporalio.api.enums.v1 import EventType
from temporalio.client import WorkflowHistory
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.worker import Replayer
from temporalio.worker.workflow_sandbox import SandboxedWorkflowRunner, SandboxRestrictions

import policy.rules.bundle
from contracts.command import SignedCommand
from contracts.ticket import TicketOutcome, TicketStart, TicketView
from policy.model import Role, State
from policy.rules.bundle import Bundle, load_bundle
from tests.faults.builds.next_release import NextTicketWorkflow
from tests.replay.scenarios import SCENARIOS
from worker.parts import OUR_PURE_MODULES
from workflows.deadlines import DeadlineSweepWorkflow
from workflows.ticket.workflow import TicketWorkflow

HISTORIES = Path(__file__).with_name("histories")
FILES = {
    str(path.relative_to(HISTORIES).with_suffix("")): path
    for path in sorted(HISTORIES.rglob("*.json"))
}
"""Recordings by name; those of `earlier` were made by releases that gave other commands."""
CORPUS = HISTORIES / "lifecycles.jsonl.xz"
ENOUGH = 300
EVERY = int(os.environ.get("REPLAY_EVERY") or 4)
"""Of how many random lifecycles one runs where some are enough."""
REPLAY_LIMIT_SECONDS = 60
PAYLOAD_LIMIT_BYTES = 8 * 1024
CANONICAL_LIMIT_EVENTS = 120
CANONICAL_LIMIT_BYTES = 100 * 1000
SECRETS = re.compile(
    rb"eyJ[\w-]+\.eyJ|Bearer |PRIVATE KEY|://[^/\s\"]+:[^/\s\"]+@|AKIA[0-9A-Z]{16}|[0-9]+@\w"
)
MUST_HOLD = {
    "slow_database": {EventType.EVENT_TYPE_ACTIVITY_TASK_COMPLETED},
    "escalation": {EventType.EVENT_TYPE_TIMER_FIRED, EventType.EVENT_TYPE_TIMER_CANCELED},
    "earlier/escalation": {EventType.EVENT_TYPE_ACTIVITY_TASK_COMPLETED},
    "slow_look": {EventType.EVENT_TYPE_ACTIVITY_TASK_COMPLETED},
    "clock_changed": {EventType.EVENT_TYPE_WORKFLOW_EXECUTION_SIGNALED},
    "ladder_answered": {EventType.EVENT_TYPE_TIMER_FIRED},
    "hold_expiry": {EventType.EVENT_TYPE_TIMER_FIRED},
    "earlier/adoption.2": {EventType.EVENT_TYPE_ACTIVITY_TASK_COMPLETED},
    "long_conversation.1": {EventType.EVENT_TYPE_WORKFLOW_EXECUTION_CONTINUED_AS_NEW},
    "standing_sweep.1": {EventType.EVENT_TYPE_WORKFLOW_EXECUTION_CONTINUED_AS_NEW},
    "operator_cancels.1": {
        EventType.EVENT_TYPE_WORKFLOW_EXECUTION_CANCELED,
        EventType.EVENT_TYPE_MARKER_RECORDED,
    },
    "canonical": {
        EventType.EVENT_TYPE_MARKER_RECORDED,
        EventType.EVENT_TYPE_UPSERT_WORKFLOW_SEARCH_ATTRIBUTES,
        EventType.EVENT_TYPE_WORKFLOW_EXECUTION_COMPLETED,
    },
}


def history_of(path: Path) -> WorkflowHistory:
    return WorkflowHistory.from_json(path.stem, path.read_text())


async def replay(path: Path, candidate: type = TicketWorkflow) -> Exception | None:
    """Return why a history does not run on `candidate`, or None."""
    replayer = replayer_of(candidate)
    result = await replayer.replay_workflow(history_of(path), raise_on_replay_failure=False)
    return result.replay_failure


def replayer_of(candidate: type) -> Replayer:
    restrictions = SandboxRestrictions.default.with_passthrough_modules(*OUR_PURE_MODULES, "tests")
    return Replayer(
        workflows=[candidate, DeadlineSweepWorkflow],
        data_converter=pydantic_data_converter,
        workflow_runner=SandboxedWorkflowRunner(restrictions=restrictions),
    )


def lifecycles() -> list[tuple[str, bytes]]:
    """Return the random lifecycles by name, as JSON."""
    lines = map(orjson.loads, lzma.decompress(CORPUS.read_bytes()).splitlines())
    return [(line["name"], orjson.dumps(line["history"])) for line in lines]


async def stuck(candidate: type = TicketWorkflow, every: int = EVERY) -> list[str]:
    """Return which lifecycles do not run on `candidate`, and why."""

    async def histories() -> AsyncIterator[WorkflowHistory]:
        for name, text in lifecycles()[::every]:
            yield WorkflowHistory.from_json(name, text.decode())

    async with replayer_of(candidate).workflow_replay_iterator(histories()) as results:
        return [
            f"{result.history.workflow_id}: {result.replay_failure}"
            async for result in results
            if result.replay_failure is not None
        ]


def payloads(message: Message) -> Iterator[Payload]:
    """Yield every payload inside a message, at any depth."""
    if isinstance(message, Payload):
        yield message
    for _, value in message.ListFields():
        inner = value.values() if isinstance(value, Mapping) else value
        several = [] if isinstance(inner, str | bytes | int | float) else inner
        for each in [inner] if isinstance(inner, Message) else several:
            if isinstance(each, Message):
                yield from payloads(each)


@pytest.fixture
def allowing(monkeypatch: pytest.MonkeyPatch) -> Bundle:
    """Install a bundle that lets everybody do everything, in every state."""
    shipped = load_bundle()
    anything = {"roles": tuple(Role), "from_states": tuple(State)}
    tools = {name: rule.model_copy(update=anything) for name, rule in shipped.tools.items()}
    bundle = shipped.model_copy(update={"version": "allows-everything", "tools": tools})
    monkeypatch.setattr(policy.rules.bundle, "load_bundle", lambda: bundle)
    return bundle


@pytest.fixture
def denying(monkeypatch: pytest.MonkeyPatch) -> Bundle:
    """Install a bundle that lets nobody do anything, under another version and hash."""
    shipped = load_bundle()
    tools = {
        name: rule.model_copy(update={"roles": (), "from_states": ()})
        for name, rule in shipped.tools.items()
    }
    bundle = shipped.model_copy(update={"version": "denies-everything", "tools": tools})
    monkeypatch.setattr(policy.rules.bundle, "load_bundle", lambda: bundle)
    return bundle


@workflow.defn(name="Ticket")
class PolicyReadingWorkflow(TicketWorkflow):
    """What must never be: it asks the policy, and saves the activity of what is denied."""

    @workflow.init
    def __init__(self, start: TicketStart) -> None:
        super().__init__(start)

    @workflow.run
    async def run(self, start: TicketStart) -> TicketView | None:
        """Run as ever."""
        return await super().run(start)

    async def execute(self, signed: SignedCommand) -> TicketOutcome:
        """Execute a command."""
        command = signed.command
        if command.actor.actor_role in policy.rules.bundle.load_bundle().tools[command.tool].roles:
            return await super().execute(signed)
        return TicketOutcome(command_id=command.command_id, tool=command.tool, code="FORBIDDEN")


@workflow.defn(name="Ticket")
class ReorderedWorkflow(TicketWorkflow):
    """What must be behind `patched`: it looks at what is due before every command."""

    @workflow.init
    def __init__(self, start: TicketStart) -> None:
        super().__init__(start)

    @workflow.run
    async def run(self, start: TicketStart) -> TicketView | None:
        """Run as ever."""
        return await super().run(start)

    async def execute(self, signed: SignedCommand) -> TicketOutcome:
        """Execute a command."""
        await self.look()
        return await super().execute(signed)


def test_every_scenario_is_recorded() -> None:
    names = {name.partition(".")[0] for name in FILES if not name.startswith("earlier/")}
    assert names == set(SCENARIOS)


@pytest.mark.parametrize("path", FILES.values(), ids=FILES)
async def test_a_recorded_history_runs_on_the_code_of_today(path: Path) -> None:
    assert await replay(path) is None


async def test_all_random_lifecycles_run_on_the_code_of_today_in_time() -> None:
    began = time.process_time()
    assert await stuck(every=1) == []
    assert time.process_time() - began < REPLAY_LIMIT_SECONDS


@pytest.mark.parametrize("bundle", ["denying", "allowing"])
async def test_random_lifecycles_run_under_another_bundle(
    request: pytest.FixtureRequest, bundle: str
) -> None:
    request.getfixturevalue(bundle)
    assert await stuck() == []


async def test_a_release_that_adds_a_command_behind_a_patch_continues_them() -> None:
    assert await stuck(NextTicketWorkflow) == []


async def test_one_that_adds_it_without_a_patch_continues_none_that_did_anything() -> None:
    assert len(await stuck(ReorderedWorkflow)) > ENOUGH // 2 // EVERY


def test_there_are_enough_histories_and_no_secret_is_in_them() -> None:
    names = [name for name, _ in lifecycles()]
    assert len({*names, *FILES}) == len(names) + len(FILES) >= ENOUGH
    for name, text in lifecycles():
        history = WorkflowHistory.from_json(name, text.decode())
        found = [each for event in history.events for each in payloads(event)]
        assert max(payload.ByteSize() for payload in found) <= PAYLOAD_LIMIT_BYTES
        assert not any(SECRETS.search(each) for each in (text, *(each.data for each in found)))


@pytest.mark.usefixtures("denying")
@pytest.mark.parametrize("path", FILES.values(), ids=FILES)
async def test_a_recorded_history_runs_under_a_policy_that_denies_everything(path: Path) -> None:
    assert await replay(path) is None


async def test_a_workflow_that_reads_the_policy_dies_of_the_next_edit(
    request: pytest.FixtureRequest,
) -> None:
    canonical = FILES["canonical"]
    assert await replay(canonical, PolicyReadingWorkflow) is None
    request.getfixturevalue("denying")
    failure = await replay(canonical, PolicyReadingWorkflow)
    assert isinstance(failure, workflow.NondeterminismError)


@pytest.mark.parametrize("name", ["canonical", "cancel", "refused_creation", "forgeries"])
async def test_a_change_in_the_order_of_commands_does_not_replay(name: str) -> None:
    path = FILES[name]
    assert isinstance(await replay(path, ReorderedWorkflow), workflow.NondeterminismError)


@pytest.mark.parametrize(("name", "kinds"), MUST_HOLD.items(), ids=MUST_HOLD)
def test_a_scenario_takes_the_path_that_it_stands_for(name: str, kinds: set[int]) -> None:
    path = FILES[name]
    assert kinds <= {event.event_type for event in history_of(path).events}


@pytest.mark.parametrize("path", FILES.values(), ids=FILES)
def test_a_history_holds_no_secret_and_no_large_payload(path: Path) -> None:
    found = [each for event in history_of(path).events for each in payloads(event)]
    assert found
    assert max(payload.ByteSize() for payload in found) <= PAYLOAD_LIMIT_BYTES
    for text in (path.read_bytes(), *(payload.data for payload in found)):
        assert not SECRETS.search(text)


def test_a_canonical_lifecycle_stays_small() -> None:
    path = FILES["canonical"]
    events = history_of(path).events
    assert len(events) < CANONICAL_LIMIT_EVENTS
    assert sum(event.ByteSize() for event in events) < CANONICAL_LIMIT_BYTES
