"""One experiment: load and faults, both drawn from a seed, then the judgement and its report."""

import asyncio
import gzip
import time
from collections import Counter
from collections.abc import AsyncIterator, Coroutine, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any
from uuid import UUID

import orjson
from temporalio.service import RPCError

from policy.model import ActorType
from policy.rules.bundle import load_bundle
from records.audit.appending import Author, append_event, lock_chain
from runtime.postgres.pool import DATABASE_FAULTS, Pool, create_pool
from runtime.settings import load_settings
from runtime.stack import StackError
from tests.faults.checker import Law, Violation, check
from tests.faults.collector import collect
from tests.faults.laboratory import Lab
from tests.faults.load.clients import Crowd, Until
from tests.faults.load.evidence import Evidence
from tests.faults.load.moves import drawn
from tests.faults.nemeses import NEMESES, schedule

SHOWN_VIOLATIONS = 20


@dataclass(frozen=True)
class Plan:
    """What an experiment is told. The same seed draws the same lifecycles and the same faults."""

    seed: int
    seconds: float
    requests: int = 10**9
    lanes: int = 12
    calm_seconds: float = 0.7
    patience_seconds: float = 90.0
    nemeses: tuple[str, ...] = tuple(NEMESES)


@dataclass
class Report:
    """What came of it."""

    plan: Plan
    evidence: Evidence
    violations: list[Violation]
    faults: list[tuple[float, str]]
    seconds: float
    figures: dict[str, Any] = field(init=False)

    def __post_init__(self) -> None:
        """Count."""
        evidence = self.evidence
        self.figures = {
            "requests": len(evidence.calls),
            "commands decided": sum(each.allowed is not None for each in evidence.decisions),
            "commands allowed": sum(each.allowed is True for each in evidence.decisions),
            "tickets": len(evidence.states),
            "workflow runs": len(evidence.runs),
            "timers fired": sum(len(run.timers_fired) for run in evidence.runs),
            "escalations": evidence.escalations,
            "endings": dict(Counter(call.ending.value for call in evidence.calls)),
            "statuses": {
                str(status): count
                for status, count in sorted(Counter(c.status for c in evidence.calls).items())
            },
            "faults": dict(Counter(name for _, name in self.faults)),
            "violations": dict(Counter(each.law.value for each in self.violations)),
        }

    def text(self) -> str:
        """Return the report for people."""
        lines = [f"seed {self.plan.seed}, {self.seconds:.0f} s, {self.plan.lanes} lanes"]
        for name, value in self.figures.items():
            shown = value
            if isinstance(value, dict):
                shown = ", ".join(f"{key} {count}" for key, count in value.items()) or "none"
            lines.append(f"{name:18} {shown}")
        lines += [f"  {each.law}: {each.text}" for each in self.violations[:SHOWN_VIOLATIONS]]
        lines.append(f"again: make faults SEED={self.plan.seed}")
        return "\n".join(lines)

    def write(self, folder: Path) -> Path:
        """Write the report as text and JSON, and the evidence it rests on."""
        folder.mkdir(parents=True, exist_ok=True)
        stem = f"seed-{self.plan.seed}"
        (folder / f"{stem}.txt").write_text(self.text() + "\n")
        document = {
            "plan": asdict(self.plan),
            "seconds": self.seconds,
            "figures": self.figures,
            "faults": self.faults,
            "violations": [each._asdict() for each in self.violations],
        }
        path = folder / f"{stem}.json"
        path.write_bytes(orjson.dumps(document, option=orjson.OPT_INDENT_2))
        with gzip.open(folder / f"{stem}.evidence.json.gz", "wb") as file:
            file.write(orjson.dumps(asdict(self.evidence)))
        return path


def crowd_of(lab: Lab, seed: int) -> Crowd:
    """Return the clients of a laboratory, all of one seed."""
    settings, _ = load_settings(lab.env)
    return Crowd(
        bundle=load_bundle(),
        gateways=lab.clients,
        place={
            "account_id": str(settings.demo_account_id),
            "site_id": str(settings.demo_site_id),
        },
        technician=str(settings.demo_tech_id),
        seed=seed,
    )


async def experiment(lab: Lab, plan: Plan) -> Report:
    """Load the laboratory while everything goes wrong in it, heal it, and judge."""
    crowd = crowd_of(lab, plan.seed)
    crowd.patience_seconds = plan.patience_seconds
    began = time.monotonic()
    until = Until(crowd, began + plan.seconds, plan.requests)
    faults: list[tuple[float, str]] = []
    unhealed: list[str] = []
    strikes, courier = _strike(lab, plan, until, faults, unhealed), _courier(lab, crowd)
    async with _beside(courier, endless=True), _beside(strikes), asyncio.TaskGroup() as group:
        for number in range(plan.lanes):
            group.create_task(crowd.lane(number, plan.lanes, until))
    await lab.is_well()
    evidence = await collect(lab, crowd.calls, plan.patience_seconds)
    violations = check(evidence) + [Violation(Law.EXPLAINED, text) for text in unhealed]
    return Report(plan, evidence, violations, faults, time.monotonic() - began)


async def _strike(
    lab: Lab, plan: Plan, until: Until, faults: list[tuple[float, str]], unhealed: list[str]
) -> None:
    """Let one fault follow the other; the last one is healed before this returns."""
    began = time.monotonic()
    for name, draw in schedule(plan.seed, plan.nemeses):
        await asyncio.sleep(draw.uniform(0.3, 1) * plan.calm_seconds)
        if until.over():
            return
        faults.append((round(time.monotonic() - began, 1), name))
        try:
            await NEMESES[name](lab, draw)
        except (AssertionError, OSError, StackError, RPCError) as error:
            unhealed.append(f"{name} could not be healed: {error!r}")


async def _courier(lab: Lab, crowd: Crowd) -> None:
    """Append to the chains of tickets at work, as the relay does for every delivery."""
    url = load_settings(lab.env)[0].database_url.get_secret_value()
    author = Author(
        actor_type=ActorType.SYSTEM,
        actor_id="courier",
        actor_role="system",
        tool_name="outbox.delivery",
        policy_bundle_sha256=crowd.bundle.sha256,
    )
    draw = drawn(crowd.seed, "courier")
    async with _pool_of_one(url) as pool:
        while True:
            await asyncio.sleep(0.05)
            if crowd.active:
                ticket = UUID(draw.choice(crowd.active))
                with suppress(*DATABASE_FAULTS):
                    async with pool.acquire() as conn, conn.transaction():
                        locked = await lock_chain(conn, "default", ticket)
                        await append_event(conn, locked, author, {"status": "SENT"})


@asynccontextmanager
async def _pool_of_one(url: str) -> AsyncIterator[Pool]:
    """Open a pool of one connection."""
    pool = await create_pool(url, max_size=1, application_name="courier")
    try:
        yield pool
    finally:
        pool.terminate()


@asynccontextmanager
async def _beside(work: Coroutine[Any, Any, None], *, endless: bool = False) -> AsyncIterator[None]:
    """Run something beside the load; what is not endless comes to its own end."""
    task = asyncio.create_task(work)
    try:
        yield
        if not endless:
            await task
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


def summary(reports: Sequence[Report]) -> str:
    """Return one line over several experiments."""
    commands = sum(report.figures["commands decided"] for report in reports)
    violations = sum(len(report.violations) for report in reports)
    return f"{commands} commands in {len(reports)} experiments, {violations} violations"
