"""`make bench`: the HTTP path against the bare loops, in one run on one embedded stack.

What is compared, and why it is fair:

* One stack for all: the tuned Temporal server, Postgres with its default durability (fsync on),
  `dispatch-api` and `dispatch-worker` as their own processes, as in `make up`.
* The bare loop ("floor") is signal -> activity -> commit -> NOTIFY, once with a local and once
  with a regular activity. Its worker is a process of its own with the pollers, the sticky ratio and
  the pass-through of the product's; its workflow and activity judge nothing. Per command it writes
  the rows that the product writes, into the same tables, in the same role: ticket, audit,
  transition, stored answer, command log. Its client signals and waits on LISTEN, without HTTP.
* The HTTP path is eight commands a ticket as well, with tokens and idempotency keys, over
  keep-alive connections; each waits for its answer before the next (closed loop).
* The loops take turns in short rounds, in alternating order, so that what else the machine does
  meets all of them. Only ratios within one run mean anything.
"""

import argparse
import asyncio
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson
import uvloop
from rich.console import Console

from bench.accounting import account, replays
from bench.floor_client import FloorClient
from bench.machine import BENCH_DIR, Machine, progress, running_machine
from bench.report import BUSY, Report
from bench.rounds import Bench, Kind, connect

FIGURES = BENCH_DIR / "bench.json"
KINDS = (Kind.REGULAR, Kind.LOCAL, Kind.HTTP)


@dataclass(frozen=True)
class Plan:
    """How long is measured."""

    repeats: int
    seconds: float


FULL = Plan(repeats=8, seconds=2.0)
QUICK = Plan(repeats=3, seconds=0.8)


async def measure(machine: Machine, plan: Plan) -> Report:
    """Run the whole benchmark on a running machine."""
    client = await connect(machine)
    async with FloorClient(client, machine.database_url, machine.place) as floor:
        bench = Bench(machine, floor)
        await bench.warm_up(KINDS)
        results = await bench.measure(KINDS, plan.repeats, plan.seconds)
        progress("counting statements and history events of a lifecycle")
        lifecycle = await account(machine, bench, client)
        repeated = await replays(machine, bench, BUSY, plan.seconds)
    return Report(results, lifecycle, repeated)


async def run(plan: Plan) -> Report:
    """Start a stack, measure on it, stop it."""
    async with running_machine() as machine:
        # A loop of its own: the stack's supervisor needs asyncio's, the load the faster one.
        return await asyncio.to_thread(uvloop.run, measure(machine, plan))


def write_figures(path: Path, figures: dict[str, Any]) -> None:
    """Write the figures as JSON."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(orjson.dumps(figures, option=orjson.OPT_INDENT_2))


def main(arguments: Sequence[str]) -> int:
    """Run the benchmark; exit code 1 if the budget is not met."""
    parser = argparse.ArgumentParser(prog="python -m bench", description="Measure the engine.")
    parser.add_argument("--quick", action="store_true", help="shorter rounds, under a minute")
    options = parser.parse_args(arguments)
    report = asyncio.run(run(QUICK if options.quick else FULL))
    report.show(Console(width=120))
    write_figures(FIGURES, report.figures())
    progress(f"figures: {FIGURES}")
    return 0 if all(line.met for line in report.budget()) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
