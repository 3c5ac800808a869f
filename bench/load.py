"""Closed-loop load: each lane sends its next command when the last one was answered."""

import asyncio
import math
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass

Ticket = Callable[[], AsyncIterator[None]]
Lanes = Callable[[AsyncExitStack, int], Awaitable[Sequence[Ticket]]]
"""Opens that many lanes; what they need is closed with the stack."""

GRACE_SECONDS = 60


@dataclass(frozen=True)
class Round:
    """What one kind of load did at one level of concurrency."""

    seconds: float
    latencies_ms: tuple[float, ...]

    @property
    def rate(self) -> float:
        """Commands a second."""
        return len(self.latencies_ms) / self.seconds

    def percentile(self, percent: float) -> float:
        """Return a percentile of the latency in milliseconds (nearest rank)."""
        ordered = sorted(self.latencies_ms)
        return ordered[max(0, math.ceil(len(ordered) * percent / 100) - 1)]


def merged(rounds: Sequence[Round]) -> Round:
    """Return rounds of the same load as one."""
    return Round(
        seconds=sum(each.seconds for each in rounds),
        latencies_ms=tuple(ms for each in rounds for ms in each.latencies_ms),
    )


async def run_round(lanes: Sequence[Ticket], seconds: float) -> Round:
    """Drive every lane, ticket after ticket, for `seconds`.

    A ticket is an async iterator that yields after each command; the time between is its latency.
    Raises `TimeoutError` if a command is not answered long after the end.
    """
    began = time.perf_counter()
    deadline = began + seconds
    async with asyncio.timeout(seconds + GRACE_SECONDS):
        results = await asyncio.gather(*(_drive(lane, deadline) for lane in lanes))
    latencies = tuple(ms for result in results for ms in result)
    return Round(time.perf_counter() - began, latencies)


async def run_tickets(lanes: Sequence[Ticket]) -> None:
    """Drive one whole ticket on every lane, unmeasured."""

    async def one(lane: Ticket) -> None:
        async for _ in lane():
            pass

    await asyncio.gather(*(one(lane) for lane in lanes))


async def _drive(lane: Ticket, deadline: float) -> list[float]:
    latencies: list[float] = []
    while True:
        began = time.perf_counter()
        async for _ in lane():
            now = time.perf_counter()
            latencies.append((now - began) * 1000)
            if now >= deadline:
                return latencies
            began = now
