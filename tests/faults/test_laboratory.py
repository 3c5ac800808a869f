"""Random lifecycles while everything goes wrong, and builds that must not pass the same check.

FAULTS_SEED chooses another experiment; `make faults` is the long one.
"""

import os
from pathlib import Path

import asyncpg
import pytest

from tests.faults.builds import BROKEN
from tests.faults.checker import Law
from tests.faults.experiment import Plan, experiment
from tests.faults.laboratory import laboratory

SEED = int(os.environ.get("FAULTS_SEED", "1"))
SECONDS, BROKEN_SECONDS = 20, 8
CAUGHT_BY = {
    "dedupe-removed": Law.ONCE,
    "chain-lock-removed": Law.CHAIN,
    "reply-before-commit": Law.ORDER,
}


@pytest.mark.timeout(180)
async def test_no_law_is_broken_whatever_goes_wrong(tmp_path: Path) -> None:
    async with laboratory(tmp_path) as lab:
        report = await experiment(lab, Plan(seed=SEED, seconds=SECONDS, lanes=8))
    assert report.violations == [], report.text()
    assert report.figures["commands allowed"] > 0
    assert report.figures["timers fired"] > 0
    assert len(report.faults) >= 5


@pytest.mark.timeout(120)
@pytest.mark.parametrize("build", BROKEN)
async def test_a_broken_build_is_caught(build: str, tmp_path: Path) -> None:
    async with laboratory(tmp_path, build=build) as lab:
        owner = await asyncpg.connect(lab.owner_url)
        await BROKEN[build](owner)
        await owner.close()
        plan = Plan(seed=SEED, seconds=BROKEN_SECONDS, lanes=8, nemeses=("kill worker",))
        report = await experiment(lab, plan)
    assert CAUGHT_BY[build] in {violation.law for violation in report.violations}, report.text()


def test_every_broken_build_has_a_law_that_it_breaks() -> None:
    assert CAUGHT_BY.keys() == BROKEN.keys()
