"""A gate of a release says that it runs, and how far it is, before it says what came of it."""

import sys
from datetime import timedelta
from pathlib import Path

import pytest

from cli.release.gates import REPLAY, Result, commands, run_command

SLOW = """
import pathlib, sys
print("half of it", flush=True)
heard = pathlib.Path(sys.argv[1])
while not heard.exists():
    pass
sys.exit(int(heard.read_text()))
"""


@pytest.mark.parametrize(("code", "result"), [("0", Result.PASSED), ("3", Result.FAILED)])
async def test_a_gate_that_takes_long_tells_how_far_it_is(
    tmp_path: Path, code: str, result: Result
) -> None:
    told: list[str] = []
    heard = tmp_path / "heard"

    def tell(line: str) -> None:
        told.append(line)
        if line.endswith(": half of it"):
            (tmp_path / "new").write_text(code)
            (tmp_path / "new").rename(heard)

    command = [sys.executable, "-c", SLOW, str(heard)]
    gate = await run_command("tests", command, tell, timedelta(milliseconds=20))
    assert (gate.result, gate.details["output"]) == (result, ["half of it"])
    assert told[0].startswith("RUNNING  tests: ")
    assert told[-1].endswith(" s: half of it")


async def test_a_gate_that_cannot_be_asked_here_is_skipped_and_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    told: list[str] = []
    gate = await run_command("replay", ["pytest"], told.append)
    assert (gate.result, told) == (Result.SKIPPED, [])


def test_the_histories_are_replayed_by_two_processes_to_be_done_within_a_minute() -> None:
    (replay,) = commands(Path("data"), ["replay"]).values()
    assert list(replay[-3:]) == ["-n", "2", str(REPLAY)]
