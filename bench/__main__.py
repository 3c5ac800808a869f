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
import sys
from collections.abc import Sequence

from temporalio.client import Client

from bench.accounting import account, anchoring, replays
from bench.floor.client import FloorClient
from bench.floor.worker import floor_worker
from bench.machine import BENCH_DIR, Machine, on_a_machine, progress
from bench.report import BUSY, Report, conclude
from bench.rounds import FULL, QUICK, Bench, Kind, Plan

FIGURES = BENCH_DIR / "bench.json"


async def measure(machine: Machine, plan: Plan) -> Report:
    """Run the whole benchmark on a running machine."""
    chosen, path = machine.settings, machine.http_path
    client = await Client.connect(chosen.temporal_address, namespace=chosen.temporal_namespace)
    async with FloorClient(client, machine.database_url, machine.place) as floor:
        loops = {
            Kind.REGULAR: floor.lanes(local=False),
            Kind.LOCAL: floor.lanes(local=True),
            Kind.HTTP: path.lanes,
        }
        results = await Bench(machine, loops).measure(plan)
    progress("counting statements and history events of a lifecycle")
    lifecycle = await account(machine, path, client)
    repeated = await replays(machine, path, BUSY, plan.seconds)
    progress("anchoring what commands leave in the audit log")
    anchored = await anchoring(machine, path, BUSY, plan.seconds)
    return Report(results, lifecycle, repeated, anchored)


def main(arguments: Sequence[str]) -> int:
    """Run the benchmark; exit code 1 if the budget is not met."""
    parser = argparse.ArgumentParser(prog="python -m bench", description="Measure the engine.")
    parser.add_argument("--quick", action="store_true", help="shorter rounds, under a minute")
    plan = QUICK if parser.parse_args(arguments).quick else FULL
    report = on_a_machine(
        lambda machine: [floor_worker(machine)], lambda machine: measure(machine, plan)
    )
    report.show()
    return conclude(FIGURES, report.figures(), list(report.budget()))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
