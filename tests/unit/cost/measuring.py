"""What a call costs in processor time, and whether that grows faster than what it is given."""

import gc
from collections.abc import Callable
from time import process_time
from typing import TypeVar

T = TypeVar("T")
RUNS = 3
NOTHING_SECONDS = 0.02
"""Below that nobody asks how a cost grows."""
LOOPS, QUIET_LOOP_SECONDS = 40_000, 0.0044
"""A loop, and what it costs on one quiet core of a common server."""
BOUND = 9
"""How many times as much the fourfold may cost: linear is 4, quadratic 16."""


def seconds_of(call: Callable[[], object], runs: int = RUNS) -> float:
    """Return the processor time of the cheapest of some runs: what else runs here counts least."""
    return min(_once(call) for _ in range(runs))


def quiet_seconds_of(call: Callable[[], object]) -> float:
    """Return what a call costs when nothing else runs here, as far as a known loop can tell.

    Two processes on one core slow each other down, and processor time counts that.
    """
    before, seconds, after = _once(_known_loop), _once(call), _once(_known_loop)
    return seconds * min(1.0, QUIET_LOOP_SECONDS / min(before, after))


def _known_loop() -> int:
    return sum(len(str(number)) for number in range(LOOPS))


def growth_fault(make: Callable[[int], T], run: Callable[[T], object], size: int) -> str | None:
    """Return how the cost of `run` grows from `size` to four times that, if it is too fast.

    Only what costs something is measured again, so that a busy machine makes no fault.
    """
    largest = make(4 * size)
    if seconds_of(lambda: run(largest), 1) <= NOTHING_SECONDS:
        return None
    made = [make(size), make(2 * size), largest]
    costs = [float("inf")] * len(made)
    for _ in range(RUNS):
        costs = [
            min(cost, seconds_of(lambda value=value: run(value), 1))  # type: ignore[misc]
            for cost, value in zip(costs, made, strict=True)
        ]
        if costs[-1] <= max(NOTHING_SECONDS, BOUND * costs[0]):
            return None
    shown = ", ".join(f"{1000 * cost:.1f}" for cost in costs)
    return f"{shown} ms for {size}, {2 * size}, {4 * size}"


def _once(call: Callable[[], object]) -> float:
    gc.disable()
    try:
        began = process_time()
        call()
        return process_time() - began
    finally:
        gc.enable()
