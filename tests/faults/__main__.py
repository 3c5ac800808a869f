"""`python -m tests.faults`: experiments in the fault laboratory, one seed after the other."""

import argparse
import asyncio
import gzip
import signal
import sys
import time
from collections.abc import Coroutine
from pathlib import Path
from tempfile import TemporaryDirectory

from pydantic import TypeAdapter

from tests.faults.checker import check
from tests.faults.drills import DRILLS
from tests.faults.experiment import Plan, Report, experiment, summary
from tests.faults.laboratory import laboratory
from tests.faults.load.evidence import Evidence
from tests.faults.nemeses import NEMESES

REPORTS = Path(".dispatch/faults")


def arguments() -> argparse.Namespace:
    """Return what the command line says."""
    parser = argparse.ArgumentParser(prog="make faults", description=__doc__)
    parser.add_argument("--scenario", choices=["faults", *DRILLS], default="faults")
    parser.add_argument("--seed", type=int, default=1, help="of the first experiment")
    parser.add_argument("--seconds", type=float, default=420, help="of load in all")
    parser.add_argument("--commands", type=int, default=100_000, help="after which it is enough")
    parser.add_argument("--slice-seconds", type=float, default=120, help="of one experiment")
    parser.add_argument("--lanes", type=int, default=16, help="tickets at once")
    parser.add_argument("--calm", type=float, default=5, help="seconds between two faults")
    parser.add_argument("--tickets", type=int, help="of a drill")
    parser.add_argument(
        "--only", nargs="*", choices=list(NEMESES), help="the faults to choose from"
    )
    parser.add_argument("--judge", type=Path, metavar="EVIDENCE", help="judge old evidence again")
    return parser.parse_args()


def judge(path: Path) -> bool:
    """Return whether the evidence of an earlier experiment violates nothing."""
    violations = check(TypeAdapter(Evidence).validate_json(gzip.decompress(path.read_bytes())))
    for each in violations:
        print(f"{each.law}: {each.text}")  # noqa: T201
    print(f"{len(violations)} violations")  # noqa: T201
    return not violations


async def run(options: argparse.Namespace) -> bool:
    """Make experiments until there are enough; return whether nothing was violated."""
    reports: list[Report] = []
    deadline = time.monotonic() + options.seconds
    seed, commands = options.seed, 0
    while commands < options.commands and (left := deadline - time.monotonic()) > 0:
        plan = Plan(
            seed=seed,
            seconds=min(left, options.slice_seconds),
            lanes=options.lanes,
            calm_seconds=options.calm,
            nemeses=tuple(options.only or NEMESES),
        )
        with TemporaryDirectory(prefix="faults-") as folder:
            async with laboratory(Path(folder)) as lab:
                report = await experiment(lab, plan)
        reports.append(report)
        commands += report.figures["commands decided"]
        path = report.write(REPORTS)
        print(f"{report.text()}\n{path}\n", flush=True)  # noqa: T201
        seed += 1
    print(summary(reports))  # noqa: T201
    return not any(report.violations for report in reports)


def main() -> None:
    """Run what the command line says; exit code 1 when a law was violated."""
    options = arguments()
    if options.judge:
        sys.exit(0 if judge(options.judge) else 1)
    work = run(options) if options.scenario == "faults" else DRILLS[options.scenario](options)
    try:
        sys.exit(0 if asyncio.run(_until_told(work)) else 1)
    except (asyncio.CancelledError, KeyboardInterrupt):
        sys.exit("stopped before the end: nothing more is judged")


async def _until_told(work: Coroutine[None, None, bool]) -> bool:
    """Await it; SIGTERM acts like Ctrl-C, so that no process is left behind."""
    task = asyncio.ensure_future(work)
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    return await task


if __name__ == "__main__":
    main()
