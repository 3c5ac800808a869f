"""The clock against the oracle that counts tick by tick; `make oracle` runs a million cases."""

import random

import pytest

from policy.clock.timeline import ALWAYS_OPEN
from tests.unit.clock.cases import cases, difference, differences


@pytest.mark.parametrize("seed", range(6))
def test_the_clock_and_counting_by_the_minute_agree(seed: int) -> None:
    assert differences(seed, 450) == []


def test_the_oracle_notices_another_calendar() -> None:
    wrong = (case._replace(timeline=ALWAYS_OPEN) for case in cases(random.Random(1), 30))
    assert all(difference(case) is not None for case in wrong)
