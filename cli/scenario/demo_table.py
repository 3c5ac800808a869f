"""How the demo shows itself: one row a step, as it happens, with what was checked below it."""

from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import JustifyMethod
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from cli.scenario.walk import Check, Replay, Visit
from cli.terminal import Terminal

_WIDTH = 100
_INDENT = 4
_COLUMNS: Sequence[tuple[int, JustifyMethod]] = (
    (2, "right"),  # number
    (24, "left"),  # tool
    (10, "left"),  # role
    (4, "right"),  # HTTP status
    (30, "left"),  # state
    (5, "right"),  # milliseconds
)
_MISSING = ("missing_evidence_keys", "missing_checklist_keys")


class DemoTable:
    """Prints rows one at a time in columns of fixed width, so that they line up when live."""

    def __init__(self, *, quiet: bool) -> None:
        console = Terminal(quiet=quiet, highlight=False)
        if not console.is_terminal:
            console.width = _WIDTH
        self._console = console

    def begin(self, url: str) -> None:
        """Print the heading."""
        self._console.print(f"Gateway {url}\n")
        self._row("#", "tool", "role", "HTTP", "state after", "ms", style="bold")

    def visit(self, visit: Visit) -> None:
        """Print one step."""
        step, answer = visit.step, visit.answer
        good = all(check.failure is None for check in visit.checks)
        self._row(
            str(visit.number),
            step.tool,
            step.role,
            str(answer.status_code),
            visit.state or "-",
            f"{visit.milliseconds:.0f}",
            style="" if good else "red",
        )
        self._note(Text(step.story, style="cyan"))
        refusal = visit.document.get("error")
        if isinstance(refusal, dict):
            self._note(_refusal(refusal))
        if visit.attempts > 1:
            self._note(Text(f"answered after {visit.attempts} calls with the same key", "yellow"))
        self._checks(visit.checks)

    def ticket(self, ticket_id: str, link: str | None) -> None:
        """Print where to watch."""
        self._note(Text(f"ticket {ticket_id}", style="bold"))
        if link:
            self._console.print(f"{' ' * _INDENT}watch it: {link}", soft_wrap=True)

    def begin_replays(self) -> None:
        """Print the heading of the second round."""
        self._console.print("\nThe same calls again, each with its idempotency key\n")

    def replay(self, replay: Replay) -> None:
        """Print one repeated call."""
        visit, check = replay.visit, replay.check
        self._row(
            str(visit.number),
            visit.step.tool,
            visit.step.role,
            str(replay.status),
            f"{'✗' if check.failure else '✓'} {check.name}",
            f"{replay.milliseconds:.0f}",
            style="red" if check.failure else "",
        )
        if check.failure:
            self._checks([check])

    def history(self, events: Sequence[Mapping[str, Any]], checks: Sequence[Check]) -> None:
        """Print the timeline and what it proves."""
        self._console.print("\nTimeline\n")
        for event in events:
            before, after = event["before_state"] or "-", event["after_state"]
            moved = after if before == after else f"{before} -> {after}"
            self._console.print(
                f"{event['seq']:>2}  {event['created_at'][11:23]}  {event['hash'][:12]}  "
                f"{event['tool_name']:<24}  {moved}",
                soft_wrap=True,
            )
        self._console.print()
        self._checks(checks)

    def end(self, ticket_id: str | None, link: str | None, failures: int) -> None:
        """Print the verdict."""
        verdict = f"Expectations that failed: {failures}" if failures else "Every expectation held"
        self._console.print(f"\n{verdict}.", style="bold red" if failures else "bold green")
        self._console.print(f"Ticket       {ticket_id or 'none'}")
        if link:
            self._console.print(f"Temporal UI  {link}", soft_wrap=True)

    def _row(self, *cells: str, style: str = "") -> None:
        table = Table.grid(padding=(0, 1))
        for width, justify in _COLUMNS:
            table.add_column(width=width, justify=justify, no_wrap=True)
        table.add_row(*cells, style=style)
        self._console.print(table)

    def _checks(self, checks: Sequence[Check]) -> None:
        held = [check.name for check in checks if check.failure is None]
        if held:
            self._note(Text(f"✓ {' · '.join(held)}", style="green"))
        for check in checks:
            if check.failure is not None:
                self._note(Text(f"✗ {check.name}: {check.failure}", style="bold red"))

    def _note(self, text: Text) -> None:
        self._console.print(Padding(text, (0, 0, 0, _INDENT), expand=False))


def _refusal(error: Mapping[str, Any]) -> Text:
    text = Text(f"refused: {error.get('code')}", style="yellow")
    for name in _MISSING:
        if error.get(name):
            text.append(f"\n{name}: {', '.join(error[name])}")
    return text
