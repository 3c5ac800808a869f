"""What goes wrong, and how it is put right again. Each fault is drawn from the seed of the run."""

import asyncio
import os
import shutil
import signal
from asyncio.subprocess import DEVNULL
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import suppress
from functools import partial
from random import Random
from types import MappingProxyType

import psutil
from temporalio.service import RPCError, RPCStatusCode

from tests.blows import BLOWS, Blow
from tests.faults.laboratory import DATABASE, ENGINE, GATEWAYS, Lab
from tests.faults.load.moves import drawn

Nemesis = Callable[[Lab, Random], Awaitable[None]]
SHORTEST_SECONDS, LONGEST_SECONDS = 0.3, 2.5
LONGEST_DELAY_SECONDS = 0.2
PARTS = ("gateway", "worker", "temporal", "postgres", "s3")
RUNNING = "WorkflowType = 'Ticket' AND ExecutionStatus = 'Running'"
MOST_LISTED, MOST_STRUCK = 50, 5
WIRES = {"postgres": DATABASE, "temporal": ENGINE}


def victim(lab: Lab, part: str, draw: Random) -> str:
    """Return one of the parts of a kind."""
    names = sorted(name for name in lab.parts if name.startswith(part))
    return draw.choice(names) if names else part


async def last(draw: Random) -> None:
    """Let a fault last."""
    await asyncio.sleep(draw.uniform(SHORTEST_SECONDS, LONGEST_SECONDS))


async def kill(part: str, lab: Lab, draw: Random) -> None:
    """Kill -9; the supervisor starts it again."""
    for process in lab.processes(victim(lab, part, draw))[:1]:
        _send(process, signal.SIGKILL)


async def stop(part: str, lab: Lab, draw: Random) -> None:
    """SIGSTOP every process of a part, and let them go on later."""
    stopped = lab.processes(victim(lab, part, draw))
    for process in stopped:
        _send(process, signal.SIGSTOP)
    try:
        await last(draw)
    finally:
        for process in stopped:
            _send(process, signal.SIGCONT)


async def delay(part: str, lab: Lab, draw: Random) -> None:
    """Slow a wire down."""
    wire = lab.cables[WIRES[part]]
    wire.delay_seconds = draw.uniform(0.02, LONGEST_DELAY_SECONDS)
    await last(draw)
    await wire.mend()


async def cut(part: str, lab: Lab, draw: Random) -> None:
    """Cut a wire."""
    wire = lab.cables[WIRES[part]]
    await wire.cut()
    await last(draw)
    await wire.mend()


async def reset(part: str, lab: Lab, draw: Random) -> None:
    """Reset the connections of a wire, several times."""
    wire = lab.cables[WIRES[part]]
    for _ in range(draw.randint(1, 4)):
        await wire.reset()
        await asyncio.sleep(draw.uniform(0.05, 0.5))


async def half_open(part: str, lab: Lab, draw: Random) -> None:
    """Lose the far end of a wire's connections; the near end hears nothing of it."""
    wire = lab.cables[WIRES[part]]
    await wire.leave_half_open()
    await last(draw)
    await wire.mend()


async def upon_tickets(blow: Blow, lab: Lab, draw: Random) -> None:
    """Strike some of the running workflows as an operator can, while they work."""
    client = await lab.temporal()
    running = [each.id async for each in client.list_workflows(RUNNING, limit=MOST_LISTED)]
    for workflow_id in draw.sample(running, min(len(running), draw.randint(1, MOST_STRUCK))):
        try:
            await blow(client, workflow_id)
        except RPCError as error:
            if error.status is not RPCStatusCode.NOT_FOUND:  # it has come to its own end
                raise


async def fill_disk(lab: Lab, draw: Random) -> None:
    """Let no file of Postgres grow, as on a full disk; it panics and must recover."""
    processes = lab.processes("postgres")
    for process in processes:
        await _limit_files(process, "1")
    await last(draw)
    for process in {*processes, *lab.processes("postgres")}:
        await _limit_files(process, "unlimited")


async def step_clock(lab: Lab, draw: Random) -> None:
    """Run a gateway whose clock jumps by an hour to and fro."""
    name = draw.choice(GATEWAYS)
    await lab.stop(name)
    await lab.start(lab.gateway(name, build="stepping-clock"))
    await last(draw)
    await lab.stop(name)
    await lab.start(lab.gateway(name))


async def roll(lab: Lab, draw: Random) -> None:
    """Roll out the next release of the workers."""
    del draw
    await lab.roll_out()


NEMESES: Mapping[str, Nemesis] = MappingProxyType(
    {
        **{f"kill {part}": partial(kill, part) for part in PARTS},
        **{f"stop {part}": partial(stop, part) for part in PARTS},
        **{
            f"{fault.__name__} {part}": partial(fault, part)
            for fault in (delay, cut, reset, half_open)
            for part in WIRES
        },
        **({"fill disk of postgres": fill_disk} if shutil.which("prlimit") else {}),
        **{f"{blow.__name__} tickets": partial(upon_tickets, blow) for blow in BLOWS},
        "step clock of gateway": step_clock,
        "roll out workers": roll,
    }
)


def schedule(seed: int, names: tuple[str, ...] = tuple(NEMESES)) -> Iterator[tuple[str, Random]]:
    """Yield faults without end: every one once, in an order drawn from the seed, then again."""
    draw = drawn(seed, "nemeses")
    number = 0
    while True:
        for name in draw.sample(names, len(names)):
            number += 1
            yield name, drawn(seed, "nemesis", number)


def _send(process: psutil.Process, number: signal.Signals) -> None:
    with suppress(psutil.NoSuchProcess):
        process.send_signal(number)


async def _limit_files(process: psutil.Process, size: str) -> None:
    """Limit the size of a process's files; only its own account may do that to it."""
    with suppress(psutil.NoSuchProcess):
        account = process.uids().real if os.geteuid() == 0 else None
        command = ("prlimit", f"--pid={process.pid}", f"--fsize={size}:")
        limiter = await asyncio.create_subprocess_exec(*command, user=account, stderr=DEVNULL)
        await limiter.wait()
