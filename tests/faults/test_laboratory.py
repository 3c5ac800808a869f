"""Random lifecycles while everything goes wrong, and builds that must not pass the same check.

FAULTS_SEED chooses another experiment; `make faults` is the long one.
"""

import os
from collections import Counter
from collections.abc import AsyncIterator

import asyncpg
import pytest
import pytest_asyncio

from tests.faults.builds.broken import BROKEN, Sabotage
from tests.faults.checker import Law
from tests.faults.experiment import Plan, experiment
from tests.faults.laboratory import Lab, laboratory

pytestmark = pytest.mark.asyncio(loop_scope="module")

SEED = int(os.environ.get("FAULTS_SEED", "1"))
SECONDS, BROKEN_SECONDS = 20, 6
EXPERIMENTS = 4
"""A race need not come about in each: a broken build is caught in one of so many."""
FAULTS, MUST_HAPPEN = 5, ("commands allowed", "timers fired", "escalations")
CAUGHT_BY = {
    "dedupe-removed": Law.ONCE,
    "chain-lock-removed": Law.CHAIN,
    "reply-before-commit": Law.ORDER,
}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def lab(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Lab]:
    async with laboratory(tmp_path_factory.mktemp("laboratory")) as running:
        yield running


@pytest.mark.timeout(300)
async def test_no_law_is_broken_whatever_goes_wrong(lab: Lab) -> None:
    """As many experiments are made as a slow machine needs for enough to happen."""
    happened: Counter[str] = Counter()
    for number in range(EXPERIMENTS):
        report = await experiment(lab, Plan(seed=SEED + number, seconds=SECONDS, lanes=8))
        assert report.violations == [], report.text()
        happened["faults"] += len(report.faults)
        happened.update({name: report.figures[name] for name in MUST_HAPPEN})
        if happened["faults"] >= FAULTS and all(happened[name] for name in MUST_HAPPEN):
            return
    pytest.fail(f"too little happened: {happened}")


@pytest.mark.timeout(240)
@pytest.mark.parametrize(("build", "sabotage"), BROKEN.items(), ids=BROKEN)
async def test_a_broken_build_is_caught(build: str, sabotage: Sabotage, lab: Lab) -> None:
    owner = await asyncpg.connect(lab.owner_url)
    await sabotage(owner)
    await owner.close()
    await lab.roll_out(build)
    for number in range(EXPERIMENTS):
        plan = Plan(
            seed=SEED + lab.release + 100 * number,
            seconds=BROKEN_SECONDS,
            lanes=8,
            nemeses=("kill worker",),
            patience_seconds=BROKEN_SECONDS,
        )
        report = await experiment(lab, plan)
        if CAUGHT_BY[build] in {violation.law for violation in report.violations}:
            return
    pytest.fail(report.text())


async def test_every_broken_build_has_a_law_that_it_breaks() -> None:
    assert CAUGHT_BY.keys() == BROKEN.keys()
