"""The page of the docs that tabulates the closed toolset: `python -m api.openapi.toolset_page`."""

import sys
from collections.abc import Iterable, Iterator, Sequence

from api.openapi.document import COMMAND, READ, tool_codes
from policy.codes import CODES, Code
from policy.model import State
from policy.rules.bundle import OPEN_STATES, Bundle, load_bundle

OPENING = """\
# The toolset

Made from the policy bundle by `make docs`; do not edit. A call needs one of the tool's roles, and
most a ticket in one of its states. Any other role gets 403 `FORBIDDEN`, any other state 409
`INVALID_STATE_TRANSITION` (the three hold tools: 409 `SCHEDULE_HOLD_STATE_CONFLICT`).

*open*: every state but CLOSED and CANCELLED. *Result* `-`: it depends, or no state changes.
"""
TOOLS = ("Tool", "Route", "Roles", "From states", "Result", "Success")
CODE_TABLE = ("Code", "Status", "Dimension", "Meaning")


def toolset_page(bundle: Bundle) -> str:
    """Return the page as Markdown."""
    rows = [_row(bundle, name) for name in bundle.tools]
    codes = [
        (f"`{code}`", str(spec.status), spec.dimension or "-", spec.message)
        for code, spec in CODES.items()
    ]
    parts = (OPENING, *_table(TOOLS, rows), "\n## What can be refused\n")
    lines = (*parts, *_codes(bundle), "\n## Codes\n", *_table(CODE_TABLE, codes))
    return "\n".join(lines) + "\n"


def _row(bundle: Bundle, name: str) -> tuple[str, ...]:
    rule = bundle.tools[name]
    return (
        f"`{name}`",
        f"`{rule.method} {rule.route}`",
        ", ".join(rule.roles),
        _states(rule.from_states, new=rule.creates_ticket),
        rule.result_state or "-",
        str(rule.success_status),
    )


def _states(states: Sequence[State] | None, *, new: bool) -> str:
    if new:
        return "(new)"
    if states is None:
        return "-"
    return "open" if tuple(states) == OPEN_STATES else ", ".join(states)


def _codes(bundle: Bundle) -> Iterator[str]:
    yield f"- every read: {_listed(READ)}"
    yield f"- every command: the same and {_listed(COMMAND[len(READ) :])}"
    for name, rule in bundle.tools.items():
        shared = COMMAND if rule.mutating else READ
        own = [code for code in tool_codes(bundle, name) if code not in shared]
        if own:
            yield f"- **{name}**: {_listed(own)}"


def _listed(codes: Iterable[Code]) -> str:
    return ", ".join(f"`{code}`" for code in codes)


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    for row in (head, ["---"] * len(head), *rows):
        yield f"| {' | '.join(row)} |"


if __name__ == "__main__":
    sys.stdout.write(toolset_page(load_bundle()))
