"""Drills with many open tickets: a cold restart of the workers, and an upgrade under load."""

import argparse
import asyncio
import time
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from types import MappingProxyType
from typing import TypeVar

from bench.load import Round
from policy.model import Role
from tests.faults.checker import Violation, check
from tests.faults.collector import collect
from tests.faults.experiment import crowd_of
from tests.faults.laboratory import WORKERS, Lab, laboratory
from tests.faults.load.clients import Client, Crowd
from tests.faults.load.moves import Known, Move, creation, drawn

T = TypeVar("T")
CREATED_AT_ONCE = 24
ASKED_AT_ONCE = 64
WAIT_SECONDS = 30
FEW, MANY = 500, 5000
UPGRADED = 1000
FIRST_COMMAND_LIMIT_MS = 10_000
CALM_SECONDS = 25.0
UPGRADE_LANES = 4
RAMP = (10.0, 25.0, 50.0, 75.0)
SLOWER_AT_MOST = 2.0
DEADLOCK_WORDS = ("deadlock", "TMPRL1101")


async def restart(options: argparse.Namespace) -> bool:
    """Start all workers anew: every open ticket answers again; twice, with few and with many."""
    results = []
    for count in [options.tickets] if options.tickets else [FEW, MANY]:
        with TemporaryDirectory(prefix="drill-") as folder:
            async with laboratory(Path(folder)) as lab:
                results.append(await _cold_restart(lab, count, options.seed))
    return all(results)


async def _cold_restart(lab: Lab, count: int, seed: int) -> bool:
    crowd = crowd_of(lab, seed)
    crowd.wait_seconds = WAIT_SECONDS
    tickets = await _opened(crowd, count)
    for name in list(lab.parts):
        if name.startswith("worker"):
            lab.processes(name)[0].kill()
            await lab.stop(name)
    logs = [lab.folder / "logs" / f"{name}.log" for name in WORKERS]
    already = [log.stat().st_size for log in logs]
    began = time.monotonic()
    await asyncio.gather(*(lab.start(lab.worker(name)) for name in WORKERS))
    await lab.polling()
    started = time.monotonic()
    at_once = count if count <= FEW else ASKED_AT_ONCE
    latencies = await _asked(tickets, at_once)
    seconds = time.monotonic() - began
    first = Round(seconds, tuple(latencies))
    deadlocks = sum(_mentions(log, start) for log, start in zip(logs, already, strict=True))
    violations = check(await collect(lab, crowd.calls))
    _tell(
        f"cold restart with {count} open tickets: workers killed, ready again after"
        f" {started - began:.1f} s, all tickets answered after {seconds:.1f} s;"
        f" first command, {at_once} at once: p50 {first.percentile(50) / 1000:.2f} s,"
        f" p99 {first.percentile(99) / 1000:.2f} s, longest {max(latencies) / 1000:.2f} s;"
        f" deadlock errors {deadlocks}",
        violations,
    )
    in_time = count > FEW or first.percentile(99) <= FIRST_COMMAND_LIMIT_MS
    return in_time and not deadlocks and not violations


async def upgrade(options: argparse.Namespace) -> bool:
    """Roll out the next release of the workers under load."""
    count = options.tickets or UPGRADED
    with TemporaryDirectory(prefix="drill-") as folder:
        async with laboratory(Path(folder)) as lab:
            crowd = crowd_of(lab, options.seed)
            crowd.wait_seconds = WAIT_SECONDS
            tickets = await _opened(crowd, count)
            before = await _loaded(tickets, asyncio.sleep(CALM_SECONDS))
            began = time.monotonic()
            during = await _loaded(tickets, lab.roll_out(ramp=RAMP))
            seconds = time.monotonic() - began
            after = await _loaded(tickets, asyncio.sleep(CALM_SECONDS))
            violations = check(await collect(lab, crowd.calls))
    slower = during.percentile(99) / before.percentile(99)
    _tell(
        f"rolling upgrade with {count} open tickets in {seconds:.1f} s, {UPGRADE_LANES} lanes:"
        f" p99 before {before.percentile(99):.0f} ms ({before.rate:.0f}/s),"
        f" during {during.percentile(99):.0f} ms ({during.rate:.0f}/s), {slower:.1f} times,"
        f" after {after.percentile(99):.0f} ms ({after.rate:.0f}/s)",
        violations,
    )
    return slower <= SLOWER_AT_MOST and not violations


async def _opened(crowd: Crowd, count: int) -> list[Client]:
    """Open tickets and return a client of each."""
    clients: list[Client] = []

    async def opened(number: int) -> None:
        known = Known(crowd.place, crowd.technician)
        client = Client(crowd, known, str(number), drawn(crowd.seed, number))
        await client.deliver(creation(known, number), client.fresh_key())
        clients.append(client)

    await _each(range(count), opened, CREATED_AT_ONCE)
    return clients


async def _asked(clients: Sequence[Client], at_once: int) -> list[float]:
    """Send each ticket a command and return how many milliseconds each took to be answered."""
    latencies: list[float] = []

    async def ask(client: Client) -> None:
        latencies.append(await _note(client))

    await _each(clients, ask, at_once)
    return latencies


async def _loaded(clients: Sequence[Client], work: Awaitable[object]) -> Round:
    """Send commands to random tickets while something is done."""
    done = asyncio.ensure_future(work)
    began = time.monotonic()
    latencies: list[float] = []

    async def lane(number: int) -> None:
        draw = drawn(number, "upgrade")
        while not done.done():
            latencies.append(await _note(draw.choice(clients)))

    await asyncio.gather(*(lane(number) for number in range(UPGRADE_LANES)))
    await done
    return Round(time.monotonic() - began, tuple(latencies))


async def _note(client: Client) -> float:
    uri = f"s3://evidence/{client.known.ticket}"
    began = time.monotonic()
    note = Move("closeout.add_evidence", Role.DISPATCHER, {"kind": "NOTE", "uri": uri})
    await client.deliver(note, client.fresh_key())
    return (time.monotonic() - began) * 1000


async def _each(items: Iterable[T], work: Callable[[T], Awaitable[None]], at_once: int) -> None:
    gate = asyncio.Semaphore(at_once)

    async def one(item: T) -> None:
        async with gate:
            await work(item)

    await asyncio.gather(*map(one, items))


def _mentions(log: Path, start: int) -> int:
    """Return how often a log names a deadlock after its first `start` bytes."""
    text = log.read_bytes()[start:].decode(errors="replace").lower()
    return sum(text.count(word.lower()) for word in DEADLOCK_WORDS)


def _tell(result: str, violations: Sequence[Violation]) -> None:
    print(f"{result}; violations {len(violations)}")  # noqa: T201
    for each in violations[:10]:
        print(f"  {each.law}: {each.text}")  # noqa: T201


DRILLS: Mapping[str, Callable[[argparse.Namespace], Coroutine[None, None, bool]]] = (
    MappingProxyType({"restart": restart, "upgrade": upgrade})
)
