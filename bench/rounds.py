"""The measured rounds: bare loops and the HTTP path take turns, so that noise meets all alike."""

from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from enum import StrEnum

from temporalio.client import Client

from bench.floor_client import FloorClient
from bench.lifecycle import Caller, tokens
from bench.load import Round, Ticket, merged, run_round, run_tickets
from bench.machine import Machine, progress
from bench.wire import Connection

LEVELS = (1, 8, 32)
WARM_UP_LANES = 8


class Kind(StrEnum):
    """What is measured."""

    REGULAR = "floor, regular activity"
    LOCAL = "floor, local activity"
    HTTP = "HTTP path"


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
    """Runs rounds on one machine."""

    def __init__(self, machine: Machine, floor: FloorClient) -> None:
        self._machine = machine
        self._floor = floor
        self._tokens = tokens(machine.secret)

    async def warm_up(self, kinds: Sequence[Kind]) -> None:
        """Drive some tickets of every kind, unmeasured."""
        for kind in kinds:
            async with AsyncExitStack() as stack:
                lanes = await self._lanes(stack, kind, WARM_UP_LANES)
                await run_tickets(lanes)
                await run_tickets(lanes)

    async def measure(self, kinds: Sequence[Kind], repeats: int, seconds: float) -> Results:
        """Return the results of all kinds at all levels; the kinds take turns."""
        results: dict[tuple[Kind, int], Result] = {}
        for level in LEVELS:
            parts: dict[Kind, list[Result]] = {kind: [] for kind in kinds}
            for number in range(repeats):
                for kind in kinds if number % 2 == 0 else reversed(kinds):
                    parts[kind].append(await self._round(kind, level, seconds))
                    rate = parts[kind][-1].round.rate
                    progress(f"{level:2} in flight, {kind}: {rate:.0f} commands/s")
            results |= {(kind, level): _joined(each) for kind, each in parts.items()}
        return results

    async def _round(self, kind: Kind, level: int, seconds: float) -> Result:
        async with AsyncExitStack() as stack:
            lanes = await self._lanes(stack, kind, level)
            before = self._machine.cpu_seconds()
            measured = await run_round(lanes, seconds)
            after = self._machine.cpu_seconds()
        return Result(measured, {name: after[name] - before[name] for name in before})

    async def _lanes(self, stack: AsyncExitStack, kind: Kind, level: int) -> list[Ticket]:
        if kind is not Kind.HTTP:
            local = kind is Kind.LOCAL
            return [lambda: self._floor.ticket(local=local)] * level
        return [(await self.caller(stack)).short_ticket for _ in range(level)]

    async def caller(self, stack: AsyncExitStack) -> Caller:
        """Return a caller with a connection of its own, which `stack` closes."""
        connection = await Connection.open(self._machine.env["DISPATCH_API_URL"])
        stack.callback(connection.close)
        return Caller(connection, self._tokens, self._machine.place)


async def connect(machine: Machine) -> Client:
    """Return a plain client of the engine."""
    chosen = machine.settings
    return await Client.connect(chosen.temporal_address, namespace=chosen.temporal_namespace)


def _joined(results: Sequence[Result]) -> Result:
    names = results[0].cpu_seconds
    return Result(
        merged([each.round for each in results]),
        {name: sum(each.cpu_seconds[name] for each in results) for name in names},
    )
