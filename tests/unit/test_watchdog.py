"""The worker's watchdog, in processes that may end."""

import subprocess
import sys

import pytest

BUSY = """
import asyncio
from worker.watchdog import watched

async def run():
    async with watched(0.5):
        await asyncio.sleep(0)
        while True:
            pass

asyncio.run(run())
"""
IDLE = """
import asyncio
from worker.watchdog import watched

async def run():
    async with watched(2):
        loop = asyncio.get_running_loop()
        ends_at = loop.time() + 3
        while loop.time() < ends_at:
            await asyncio.sleep(0.01)

asyncio.run(run())
"""


def process(program: str) -> subprocess.CompletedProcess[str]:
    command = (sys.executable, "-c", program)
    return subprocess.run(command, check=False, capture_output=True, text=True, timeout=60)  # noqa: S603


def test_a_worker_whose_loop_stands_still_says_where_and_ends() -> None:
    ended = process(BUSY)
    assert ended.returncode == 1
    assert "Timeout" in ended.stderr
    assert "in run" in ended.stderr


@pytest.mark.timeout(70)
def test_a_worker_whose_loop_comes_round_lives_on() -> None:
    ended = process(IDLE)
    assert (ended.returncode, ended.stderr) == (0, "")
