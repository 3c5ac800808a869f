"""The report: what was measured as a table, and the budget line by line."""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson
from rich.console import Console
from rich.table import Table

from bench.accounting import GATEWAY, WORKER, Lifecycle
from bench.load import Round
from bench.machine import progress
from bench.rounds import LEVELS, Kind, Results

BUSY = 32
WIDTH = 120
PERCENTILES = (50, 95, 99)


@dataclass(frozen=True)
class Line:
    """One line of the budget: met when the value stays on the right side of the limit."""

    text: str
    value: float
    limit: float
    at_least: bool = False

    @property
    def met(self) -> bool:
        """Whether the budget is met."""
        return self.value >= self.limit if self.at_least else self.value <= self.limit


@dataclass(frozen=True)
class Report:
    """Everything one run has measured."""

    results: Results
    lifecycle: Lifecycle
    replays: Round
    anchoring_seconds: float
    """What anchoring costs for each command."""

    def budget(self) -> Iterator[Line]:
        """Yield the budget: ratios of the HTTP path to the bare loop with a local activity."""
        yield Line(
            f"throughput at {BUSY} in flight / floor",
            rate_ratio(self.results, Kind.HTTP, Kind.LOCAL),
            0.8,
            at_least=True,
        )
        yield Line("p50 at 1 in flight / floor", self._latency_ratio(1, 50), 1.5)
        for level in LEVELS:
            yield Line(f"p99 at {level} in flight / floor", self._latency_ratio(level, 99), 2.0)
        yield Line("history events of a lifecycle", self.lifecycle.events, 119)
        yield Line("history bytes of a lifecycle", self.lifecycle.history_bytes, 100_000)
        yield Line("statements of the gateway per command", self.lifecycle.statements[GATEWAY], 2)
        gain = self.replays.rate / self.results[Kind.HTTP, BUSY].round.rate
        yield Line(f"replayed answers / first runs, throughput at {BUSY}", gain, 10, at_least=True)
        rate = self.results[Kind.HTTP, BUSY].round.rate
        yield Line("anchoring, share of a command's time", self.anchoring_seconds * rate, 0.03)

    def figures(self) -> dict[str, Any]:
        """Return everything as plain JSON values."""
        return {
            "loops": loop_figures(self.results),
            "lifecycle": vars(self.lifecycle),
            "replays_per_second": round(self.replays.rate, 1),
            "replays_p50_ms": round(self.replays.percentile(50), 2),
            "anchoring_us_per_command": round(self.anchoring_seconds * 1e6, 1),
        }

    def show(self) -> None:
        """Print what was measured."""
        console = Console(width=WIDTH)
        console.print(loops_table(self.results, Kind.LOCAL, "to floor"))
        console.print(cpu_table(self.results))
        spent = self.lifecycle
        console.print(
            f"Canonical lifecycle, {spent.commands} commands: {spent.events} history events,"
            f" {spent.history_bytes / 1000:.1f} kB of history;"
            f" statements per command: gateway {spent.statements[GATEWAY]:.1f},"
            f" worker {spent.statements[WORKER]:.1f} with BEGIN and COMMIT.\n"
            f"Replayed answers: {self.replays.rate:.0f}/s at {BUSY} in flight,"
            f" p50 {self.replays.percentile(50):.1f} ms.\n"
        )

    def _latency_ratio(self, level: int, percent: float) -> float:
        ours, floor = self.results[Kind.HTTP, level], self.results[Kind.LOCAL, level]
        return ours.round.percentile(percent) / floor.round.percentile(percent)


def rate_ratio(results: Results, ours: Kind, other: Kind) -> float:
    """Return the throughput of one loop as a ratio to that of another, where both are busy."""
    return results[ours, BUSY].round.rate / results[other, BUSY].round.rate


def conclude(path: Path, figures: dict[str, Any], budget: Sequence[Line]) -> int:
    """Print the budget, write everything as JSON, and return the exit code."""
    Console(width=WIDTH).print(_budget_table(budget))
    verdicts = [
        {"line": each.text, "value": each.value, "limit": each.limit, "met": each.met}
        for each in budget
    ]
    measured_at = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    complete = {"measured_at": measured_at, **figures, "budget": verdicts}
    path.write_bytes(orjson.dumps(complete, option=orjson.OPT_INDENT_2))
    progress(f"figures: {path}")
    return 0 if all(each.met for each in budget) else 1


def loop_figures(results: Results) -> list[dict[str, Any]]:
    """Return what was measured as plain JSON values."""
    return [
        {
            "kind": kind,
            "in_flight": level,
            "commands": len(result.round.latencies_ms),
            "commands_per_second": round(result.round.rate, 1),
            **{f"p{p}_ms": round(result.round.percentile(p), 2) for p in PERCENTILES},
            "cpu_ms_per_command": {k: round(v, 3) for k, v in result.cpu_ms.items()},
        }
        for (kind, level), result in results.items()
    ]


def loops_table(results: Results, base: Kind, ratio: str) -> Table:
    """Return all loops as a table; `ratio` heads the throughput as a ratio to that of `base`."""
    table = Table(title="Closed loop, 8 commands a ticket; latency in ms")
    for name in ("loop", "in flight", "commands/s", "p50", "p95", "p99", ratio):
        table.add_column(name, justify="left" if name == "loop" else "right")
    for (kind, level), result in results.items():
        measured = result.round
        table.add_row(
            kind,
            str(level),
            f"{measured.rate:.1f}",
            *(f"{measured.percentile(p):.1f}" for p in PERCENTILES),
            f"{measured.rate / results[base, level].round.rate:.2f}",
        )
    return table


def cpu_table(results: Results) -> Table:
    """Return what each process used for each loop."""
    names = list(results[Kind.HTTP, BUSY].cpu_seconds)
    table = Table(title=f"Processor time at {BUSY} in flight, ms per command")
    for name in ("loop", *names, "sum"):
        table.add_column(name, justify="left" if name == "loop" else "right")
    for (kind, level), result in results.items():
        if level == BUSY:
            spent = result.cpu_ms
            shares = (f"{spent[name]:.2f}" for name in names)
            table.add_row(kind, *shares, f"{sum(spent.values()):.2f}")
    return table


def _budget_table(lines: Sequence[Line]) -> Table:
    table = Table(title="Budget")
    for name in ("line", "value", "limit", "verdict"):
        table.add_column(name, justify="left" if name == "line" else "right")
    for line in lines:
        sign = ">=" if line.at_least else "<="
        verdict = "[green]PASS[/green]" if line.met else "[red]FAIL[/red]"
        table.add_row(
            line.text,
            f"{line.value:,.3g}" if line.value < 1 else f"{line.value:,.2f}",
            f"{sign} {line.limit:,g}",
            verdict,
        )
    return table
