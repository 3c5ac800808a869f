"""`dispatch demo`: the canonical lifecycle on a real stack, every expectation checked."""

import asyncio
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any
from uuid import UUID

import httpx
import typer

from cli.output import DataDir, Exit, failed, say, tell_json
from cli.scenario.demo_table import DemoTable
from cli.scenario.lifecycle import LIFECYCLE, Step
from cli.scenario.stage import CONNECT_SECONDS, credentials, gateway, names
from cli.scenario.walk import Check, GatewayDownError, Replay, Visit, Walk
from cli.work import run
from policy.command.message import Subject
from policy.rules.bundle import load_bundle
from runtime.client import DEFAULT_DATA_DIR
from runtime.settings import Settings
from runtime.temporal.ui import workflow_page

_ANSWER_SECONDS = 90.0


def demo(
    data_dir: DataDir = DEFAULT_DATA_DIR,
    *,
    pause: Annotated[
        bool, typer.Option("--pause", help="Wait for Enter before each step.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Walk one ticket from creation to closure, then prove what happened.

    Every answer and every state is checked, every call is repeated with its idempotency key, and
    the hash chain is verified from the timeline alone. The exit code is 0 only if all of it held.

    Used is the API of DISPATCH_API_URL, else the stack that runs on the data folder, else one
    started for the occasion; its data stays, so `dispatch up` shows the ticket later.
    """
    if pause and not sys.stdin.isatty():
        raise failed("--pause needs a terminal to wait for Enter on")
    table = DemoTable(quiet=as_json)
    try:
        record = run(_demo(data_dir, table, LIFECYCLE, pause=pause))
    except GatewayDownError as failure:
        raise failed(str(failure)) from None
    except asyncio.CancelledError:
        raise failed("interrupted") from None
    if as_json:
        tell_json(record.as_json())
    for where, check in record.failures():
        say(f"FAILED {where}: {check.name}: {check.failure}")
    raise typer.Exit(Exit.FAILED if record.failures() else Exit.DONE)


@dataclass
class Record:
    """Everything one run of the demo saw."""

    ticket_id: str | None = None
    link: str | None = None
    visits: list[Visit] = field(default_factory=list)
    replays: list[Replay] = field(default_factory=list)
    events: Sequence[Mapping[str, Any]] = ()
    history: tuple[Check, ...] = ()
    unreached: int = 0

    def failures(self) -> list[tuple[str, Check]]:
        """Return the expectations that did not hold, each with where."""
        checks: list[tuple[str, Check]] = []
        for visit in self.visits:
            checks += [(f"step {visit.number} {visit.step.tool}", each) for each in visit.checks]
        checks += [
            (f"repeat of step {each.visit.number} {each.visit.step.tool}", each.check)
            for each in self.replays
        ]
        checks += [("history", check) for check in self.history]
        if self.unreached:
            checks.append(("scenario", Check("all steps", f"{self.unreached} not reached")))
        return [(where, check) for where, check in checks if check.failure is not None]

    def as_json(self) -> dict[str, Any]:
        """Return the record for machines."""
        failures = [f"{where}: {each.name}: {each.failure}" for where, each in self.failures()]
        return {
            "passed": not failures,
            "failures": failures,
            "ticket_id": self.ticket_id,
            "workflow_id": f"ticket-{self.ticket_id}" if self.ticket_id else None,
            "temporal_ui": self.link,
            "steps": [_visit_json(visit) for visit in self.visits],
            "repeats": [
                {
                    "number": each.visit.number,
                    "status": each.status,
                    "milliseconds": round(each.milliseconds, 1),
                    "check": each.check.name,
                    "failure": each.check.failure,
                }
                for each in self.replays
            ],
            "history": _checks_json(self.history),
            "timeline": self.events,
        }


async def _demo(
    data_dir: Path, table: DemoTable, scenario: Sequence[Step], *, pause: bool
) -> Record:
    async with gateway(data_dir) as chosen:
        timeout = httpx.Timeout(_ANSWER_SECONDS, connect=CONNECT_SECONDS)
        async with httpx.AsyncClient(base_url=chosen.api_url, timeout=timeout) as client:
            walk = Walk(client, load_bundle(), credentials(chosen, "demo"), scenario, names(chosen))
            table.begin(chosen.api_url)
            return await _follow(walk, table, scenario, _watching(chosen), pause=pause)


async def _follow(
    walk: Walk,
    table: DemoTable,
    scenario: Sequence[Step],
    link_of: Callable[[str], str | None],
    *,
    pause: bool,
) -> Record:
    record = Record()
    if pause:
        await _enter(f"Enter calls {scenario[0].tool}")
    async for visit in walk.steps():
        record.visits.append(visit)
        table.visit(visit)
        if record.ticket_id is None and walk.ticket_id:
            record.ticket_id = walk.ticket_id
            record.link = link_of(walk.ticket_id)
            table.ticket(walk.ticket_id, record.link)
        if pause and visit.as_planned and visit.number < len(scenario):
            await _enter(f"Enter calls {scenario[visit.number].tool}")
    record.unreached = len(scenario) - len(record.visits)
    if not record.unreached:
        table.begin_replays()
        async for replay in walk.replays():
            record.replays.append(replay)
            table.replay(replay)
        record.events, record.history = await walk.history()
        table.history(record.events, record.history)
    table.end(record.ticket_id, record.link, len(record.failures()))
    return record


def _watching(chosen: Settings) -> Callable[[str], str | None]:
    """Return where a ticket's workflow is seen, if the stack or the environment says where."""

    def link_of(ticket_id: str) -> str | None:
        workflow = Subject.of_ticket("", UUID(ticket_id)).workflow_id
        origin = chosen.temporal_ui_origin
        return workflow_page(origin, chosen.temporal_namespace, workflow) if origin else None

    return link_of


def _visit_json(visit: Visit) -> dict[str, Any]:
    return {
        "number": visit.number,
        "tool": visit.step.tool,
        "role": visit.step.role,
        "story": visit.step.story,
        "status": visit.answer.status_code,
        "state": visit.state,
        "attempts": visit.attempts,
        "milliseconds": round(visit.milliseconds, 1),
        "idempotency_key": visit.request.headers["Idempotency-Key"],
        "command_id": visit.answer.headers.get("X-Command-Id"),
        "answer": visit.document,
        "checks": _checks_json(visit.checks),
    }


def _checks_json(checks: Iterable[Check]) -> list[dict[str, str | None]]:
    return [{"check": check.name, "failure": check.failure} for check in checks]


async def _enter(prompt: str) -> None:
    """Wait for a line on the terminal; Ctrl-C still works meanwhile."""
    loop = asyncio.get_running_loop()
    pressed = asyncio.Event()
    say(f"{prompt} … ", end="")
    loop.add_reader(sys.stdin, pressed.set)
    try:
        await pressed.wait()
    finally:
        loop.remove_reader(sys.stdin)
    sys.stdin.readline()
