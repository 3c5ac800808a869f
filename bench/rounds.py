"""The measured rounds: the loops take turns, so that noise meets all alike."""

from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from enum import StrEnum

from bench.load import Lanes, Round, merged, run_round, run_tickets
from bench.machine import Machine, progress

LEVELS = (1, 8, 32)
WARM_UP_LANES = 8
WARM_UP_TICKETS = 2


@dataclass(frozen=True)
class Plan:
    """How long is measured."""

    repeats: int
    seconds: float


FULL = Plan(repeats=8, seconds=2.0)
QUICK = Plan(repeats=3, seconds=0.8)


class Kind(StrEnum):
    """What is measured."""

    REGULAR = "floor, regular activity"
    LOCAL = "floor, local activity"
    HTTP = "HTTP path"
    DBOS = "DBOS, workflow per ticket"
    DBOS_COMMAND = "DBOS, workflow per command"
    RESTATE = "Restate, virtual object"


@dataclass(frozen=True)
class Result:
    """All rounds of one kind at one level, with the processor time of each part."""

    round: Round
    cpu_seconds: Mapping[str, float]

    @property
    def cpu_ms(self) -> dict[str, float]:
        """Processor time of each part in milliseconds per command."""
        commands = len(self.round.latencies_ms)
        return {name: seconds * 1000 / commands for name, seconds in self.cpu_seconds.items()}


Results = Mapping[tuple[Kind, int], Result]


class Bench:
    """Runs rounds of the loops on one machine."""

    def __init__(self, machine: Machine, loops: Mapping[Kind, Lanes]) -> None:
        self._machine = machine
        self._loops = loops

    async def measure(self, plan: Plan) -> Results:
        """Warm up, then return the results of all loops at all levels; the loops take turns."""
        await self._warm_up()
        results: dict[tuple[Kind, int], Result] = {}
        for level in LEVELS:
            parts: dict[Kind, list[Result]] = {kind: [] for kind in self._loops}
            for number in range(plan.repeats):
                for kind in list(self._loops)[:: 1 if number % 2 == 0 else -1]:
                    parts[kind].append(await self._round(kind, level, plan.seconds))
                    rate = parts[kind][-1].round.rate
                    progress(f"{level:2} in flight, {kind}: {rate:.0f} commands/s")
            results |= {(kind, level): _joined(each) for kind, each in parts.items()}
        return results

    async def _warm_up(self) -> None:
        for lanes in self._loops.values():
            async with AsyncExitStack() as stack:
                tickets = await lanes(stack, WARM_UP_LANES)
                for _ in range(WARM_UP_TICKETS):
                    await run_tickets(tickets)

    async def _round(self, kind: Kind, level: int, seconds: float) -> Result:
        async with AsyncExitStack() as stack:
            lanes = await self._loops[kind](stack, level)
            before = self._machine.cpu_seconds()
            measured = await run_round(lanes, seconds)
            after = self._machine.cpu_seconds()
        return Result(measured, {name: after[name] - before[name] for name in before})


def _joined(results: Sequence[Result]) -> Result:
    names = results[0].cpu_seconds
    return Result(
        merged([each.round for each in results]),
        {name: sum(each.cpu_seconds[name] for each in results) for name in names},
    )
