"""`make bench-terminal`: what a command of the terminal costs before and beside its work."""

import os
import resource
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Final

RUNS: Final = 9
NOWHERE: Final = {"DISPATCH_API_URL": "http://127.0.0.1:9", "DISPATCH_ENV": "development"}
CASES: Final[dict[str, tuple[tuple[str, ...], float]]] = {
    "dispatch --help": (("--help",), 0.3),
    "dispatch ticket triage --help": (("ticket", "triage", "--help"), 0.5),
    "dispatch ticket get, nobody answers": (("ticket", "get", "1"), 0.5),
}


def processor_seconds(words: Sequence[str], folder: Path) -> float:
    """Return the processor time of one run, in user and system together."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    command = (sys.executable, "-c", "from cli.main import main; main()", *words)
    subprocess.run(  # noqa: S603  our own interpreter
        command, cwd=folder, env={**os.environ, **NOWHERE}, capture_output=True, check=False
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main() -> None:
    """Print the median of several runs of each case beside what it may be."""
    with tempfile.TemporaryDirectory() as folder:
        for name, (words, most) in CASES.items():
            processor_seconds(words, Path(folder))  # warms the caches of files and of bytecode
            taken = sorted(processor_seconds(words, Path(folder)) for _ in range(RUNS))
            middle, worst = statistics.median(taken), taken[-1]
            verdict = "ok" if middle < most else "TOO SLOW"
            sys.stdout.write(f"{name:38} {middle:.2f} s, worst {worst:.2f} s; {most} s {verdict}\n")


if __name__ == "__main__":
    main()
