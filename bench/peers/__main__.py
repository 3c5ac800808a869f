"""`make bench-peers`: Temporal beside DBOS and Restate, in one run on one machine.

What is compared, and why it is fair:

* All drive eight commands a ticket on loopback, each when the one before was answered, and commit
  to the same tables of one Postgres, with its default durability (fsync on). The peers and the
  bare loop on Temporal ("floor") write the rows of `bench/floor/rows.py`, which are those of the
  product, through the same asyncpg code with a pool of the same size. They judge nothing: no token,
  key, signature or policy is checked, and nothing is shown to operators. So the bare loop is what
  compares engine with engine. The HTTP path, which does all of it, is shown beside them. One thing
  favours ours: the embedded Temporal syncs its own database to disk at checkpoints only.
* The loops take turns in short rounds, in alternating order. Every engine runs all the time and
  is idle while the others are measured. Only ratios within one run mean anything.

How the peers are tuned:

* DBOS answers as soon as its own process knows of the commit; it neither polls nor waits for the
  workflow to end. Its system database is in the same Postgres, with LISTEN/NOTIFY and 20
  connections; async workflows on uvloop; no tracing. Two ways are measured: a workflow per ticket,
  which receives messages, is what our workflow and Restate's object are: the owner of a ticket,
  who takes its commands in turn. A workflow per command needs fewer writes and owns nothing.
* Restate is one node with the durability it comes with, 4 partitions instead of 24, which was
  faster. A virtual object per ticket is called through the ingress without an idempotency key,
  whose store would cost it more; the commit is one `ctx.run`. Its service speaks HTTP/2.
* Both serve from one process with Granian on uvloop, which was faster than Hypercorn.

The budget: the bare loop ahead of DBOS where it does the same work, at least level with Restate.
The peers are pinned in `requirements/peers.txt` and the Makefile, and installed in `.venv/peers` by
that target.
"""

import argparse
import sys
from collections.abc import Iterator, Sequence

from rich.console import Console
from temporalio.client import Client

from bench.floor.client import FloorClient
from bench.floor.worker import floor_worker
from bench.machine import BENCH_DIR, Machine, on_a_machine
from bench.peers.peer_parts import Peers
from bench.report import (
    BUSY,
    WIDTH,
    Line,
    conclude,
    cpu_table,
    loop_figures,
    loops_table,
    rate_ratio,
)
from bench.rounds import FULL, QUICK, Bench, Kind, Results

FIGURES = BENCH_DIR / "peers.json"


def budget(results: Results) -> Iterator[Line]:
    """Yield the budget: the throughput of the bare loop as a ratio to that of the peers."""
    for kind in (Kind.DBOS, Kind.RESTATE):
        text = f"bare loop, throughput at {BUSY} in flight / {kind}"
        yield Line(text, rate_ratio(results, Kind.LOCAL, kind), 1.0, at_least=True)


def main(arguments: Sequence[str]) -> int:
    """Run the comparison; exit code 1 if the budget is not met."""
    parser = argparse.ArgumentParser(prog="python -m bench.peers", description="Measure engines.")
    parser.add_argument("--quick", action="store_true", help="shorter rounds, about a minute")
    plan = QUICK if parser.parse_args(arguments).quick else FULL
    peers = Peers()

    async def measure(machine: Machine) -> Results:
        chosen = machine.settings
        client = await Client.connect(chosen.temporal_address, namespace=chosen.temporal_namespace)
        async with FloorClient(client, machine.database_url, machine.place) as floor:
            loops = {
                Kind.LOCAL: floor.lanes(local=True),
                Kind.HTTP: machine.http_path.lanes,
                **peers.loops(machine.place),
            }
            return await Bench(machine, loops).measure(plan)

    results = on_a_machine(lambda machine: [floor_worker(machine), *peers.parts(machine)], measure)
    console = Console(width=WIDTH)
    console.print(loops_table(results, Kind.LOCAL, "to floor"))
    console.print(cpu_table(results))
    return conclude(FIGURES, {"loops": loop_figures(results)}, list(budget(results)))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
