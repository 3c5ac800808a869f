"""`dispatch drill`: provokes each alert on a live stack and follows its runbook."""

import tempfile
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Final

import httpx
import typer
from rich.table import Table

from cli.caller import environment, owner_database_url
from cli.drill.drills import DRILLS, Drill, Scene
from cli.drill.runbook import follow, sees_everything
from cli.output import DataDir, Exit, failed, tell_json
from cli.scenario.stage import CONNECT_SECONDS, gateway
from cli.scenario.walk import Check, GatewayDownError
from cli.terminal import Terminal
from cli.work import run
from policy.model import Role
from runtime.client import DEFAULT_DATA_DIR
from runtime.settings import Settings
from runtime.stack import EmbeddedStack, PartName

ANSWER_SECONDS: Final = 90.0
RUNBOOKS: Final = "dispatch/ops/runbooks/"
NEEDED: Final = ("DISPATCH_DATABASE_URL", "DISPATCH_TEMPORAL_ADDRESS")
OF_THE_LIVE_ONE: Final = frozenset(
    {"DISPATCH_METRICS_SINK_PATH", "DISPATCH_ALERTS_SINK_PATH", "DISPATCH_TRACES_SINK_PATH"}
)


@dataclass(frozen=True)
class DrillResult:
    """What one drill found."""

    alert: str
    checks: Sequence[Check]
    seconds: float

    @property
    def passed(self) -> bool:
        """Whether every expectation held."""
        return all(check.failure is None for check in self.checks)

    def as_json(self) -> dict[str, Any]:
        """Return the result for machines."""
        return {
            "alert": self.alert,
            "passed": self.passed,
            "seconds": round(self.seconds, 2),
            "checks": [{"check": each.name, "failure": each.failure} for each in self.checks],
        }


def drill(
    data_dir: DataDir = DEFAULT_DATA_DIR,
    *,
    live: Annotated[
        bool,
        typer.Option("--live", help="Let the running gateway's own alerts fire, and call on-call."),
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Provoke each of the four alerts on the live stack and follow its runbook.

    Each alert must fire, point to its runbook, and the queries and reads of the runbook must find
    the cause; then the cause is removed. The drill's tickets belong to the demo account and are
    cancelled at the end. The exit code is 0 only if every drill passed.

    Without --live a gateway of its own is started beside the running one, on the same servers: its
    counters are its own, and tickets count as stuck at once. With --live the stuck tickets can be
    provoked only where DISPATCH_ALERT_STUCK_SCHEDULING_MINUTES is 0.
    """
    try:
        results = run(drill_all(data_dir, live=live))
    except GatewayDownError as failure:
        raise failed(str(failure)) from None
    if as_json:
        tell_json(as_document(results))
    else:
        _print(results)
    raise typer.Exit(Exit.DONE if all(each.passed for each in results) else Exit.FAILED)


def as_document(results: Sequence[DrillResult]) -> dict[str, Any]:
    """Return all results for machines."""
    passed = all(each.passed for each in results)
    return {"passed": passed, "drills": [each.as_json() for each in results]}


async def drill_all(data_dir: Path, *, live: bool) -> list[DrillResult]:
    """Run the drills one after the other."""
    async with gateway(data_dir) as chosen, _drilled(data_dir, chosen, live=live) as url:
        timeout = httpx.Timeout(ANSWER_SECONDS, connect=CONNECT_SECONDS)
        async with httpx.AsyncClient(base_url=url, timeout=timeout) as client:
            scene = Scene(client, chosen)
            database_url = owner_database_url(data_dir)
            if database_url is not None and not await sees_everything(database_url):
                database_url = None
            return [await _perform(kind(scene), database_url) for kind in DRILLS]


@asynccontextmanager
async def _drilled(data_dir: Path, chosen: Settings, *, live: bool) -> AsyncIterator[str]:
    """Give the URL of the gateway whose alerts are provoked."""
    if live:
        yield chosen.api_url
        return
    environ = {
        name: text for name, text in environment(data_dir).items() if name not in OF_THE_LIVE_ONE
    }
    if missing := [name for name in NEEDED if name not in environ]:
        raise failed(f"a gateway beside the live one needs {' and '.join(missing)}; or use --live")
    environ["DISPATCH_ALERT_STUCK_SCHEDULING_MINUTES"] = "0"
    with tempfile.TemporaryDirectory(prefix="dispatch-drill-") as folder:
        async with EmbeddedStack(Path(folder), parts={PartName.API}, environ=environ) as beside:
            yield beside.env["DISPATCH_API_URL"]


async def _perform(drill: Drill, database_url: str | None) -> DrillResult:
    began = time.perf_counter()
    checks = [check async for check in _checks(drill, database_url)]
    return DrillResult(drill.alert, checks, time.perf_counter() - began)


async def _checks(drill: Drill, database_url: str | None) -> AsyncIterator[Check]:
    scene, identity = drill.scene, drill.scene.identity(Role.DISPATCHER)
    before = await scene.alerts()
    times = before["thresholds"][drill.signal]
    async for check in drill.provoke(times):
        yield check
    after = await scene.alerts()
    counted = after["signals"][drill.signal] - before["signals"][drill.signal]
    missing = f"{counted} instead of {times}{drill.remark.format(**after['thresholds'])}"
    yield Check(f"{drill.signal} counts them", missing if counted < times else None)
    alert = next((each for each in after["alerts"] if each["code"] == drill.alert), None)
    yield Check(f"alert {drill.alert} fires", None if alert else "it is not in /ops/alerts")
    if alert is not None:
        answer = await scene.client.get(alert["runbook_url"])
        yield _judge_runbook(drill.alert, alert, answer)
        async for check in follow(answer.text, drill.places, scene.client, identity, database_url):
            yield check
    async for check in drill.remedy():
        yield check


def _judge_runbook(code: str, alert: Mapping[str, Any], answer: httpx.Response) -> Check:
    faults = [
        text
        for text, broken in (
            (f"HTTP {answer.status_code}", not answer.is_success),
            ("it is another alert's", code not in answer.text),
            ("its two names differ", _file(alert["runbook"]) != _file(alert["runbook_url"])),
            (f"not under {RUNBOOKS}", not alert["runbook"].startswith(RUNBOOKS)),
        )
        if broken
    ]
    return Check(f"runbook {_file(alert['runbook'])} is served", ", ".join(faults) or None)


def _file(path: str) -> str:
    return path.rpartition("/")[2]


def _print(results: Sequence[DrillResult]) -> None:
    console = Terminal()
    table = Table("drill", "result", "checks", "seconds")
    for each in results:
        word = "[green]passed[/]" if each.passed else "[red]FAILED[/]"
        table.add_row(each.alert, word, str(len(each.checks)), f"{each.seconds:.1f}")
    console.print(table)
    for each in results:
        for check in each.checks:
            if check.failure is not None:
                console.print(f"{each.alert}: {check.name}: {check.failure}", markup=False)
