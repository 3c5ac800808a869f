"""`dispatch release-check`: runs the gates of a release and writes the evidence packet."""

import platform
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Any, Final

import httpx
import orjson
import typer

from cli.output import DataDir, Exit, failed, say
from cli.release.gates import Gate, Gateway, Result, commands, run_command
from cli.scenario.stage import CONNECT_SECONDS, credentials, gateway
from cli.work import run
from policy.model import Role
from policy.values import format_datetime
from runtime.client import DEFAULT_DATA_DIR

DISTRIBUTION: Final = "real-dispatch"
ALWAYS: Final = ("replay", "demo", "verify")
ANSWER_SECONDS: Final = 30.0
SHOWN: Final = ("product", "version", "commit", "generated_at", "python", "api_url")
FILE: Final = "release-check"


@dataclass(frozen=True)
class Packet:
    """The evidence: what was judged, when, and by which gates."""

    api_url: str
    gates: Sequence[Gate]

    @property
    def passed(self) -> bool:
        """Whether no gate failed."""
        return all(gate.result is not Result.FAILED for gate in self.gates)

    def as_json(self) -> dict[str, Any]:
        """Return the packet for machines."""
        return {
            "product": DISTRIBUTION,
            "version": version(DISTRIBUTION),
            "commit": _commit(),
            "generated_at": format_datetime(datetime.now(UTC)),
            "python": platform.python_version(),
            "api_url": self.api_url,
            "passed": self.passed,
            "gates": [gate.as_json() for gate in self.gates],
        }


def release_check(  # noqa: PLR0913  each is an option of the command
    output: Annotated[
        Path, typer.Option(help="Folder that the evidence packet is written to.")
    ] = Path("evidence"),
    data_dir: DataDir = DEFAULT_DATA_DIR,
    *,
    lint: Annotated[bool, typer.Option("--lint", help="Also lint, from a checkout.")] = False,
    types: Annotated[bool, typer.Option("--types", help="Also check types.")] = False,
    tests: Annotated[bool, typer.Option("--tests", help="Also run every test.")] = False,
    drill: Annotated[bool, typer.Option("--drill", help="Also run `dispatch drill`.")] = False,
) -> None:
    """Run the gates of a release and write the evidence packet.

    Health, migrations, policy bundle, replay of recorded histories (from a checkout), demo and
    verification of every recorded row; more on demand. Every history is replayed on the code of
    today, and every fourth random one under other policies: `make replay` takes all. OUTPUT gets
    release-check.json and release-check.md. The exit code is 0 only if no gate failed.
    """
    asked = {
        **dict.fromkeys(("lint", "format", "imports"), lint),
        **dict.fromkeys(ALWAYS, True),
        "types": types,
        "tests": tests,
        "drill": drill,
    }
    wanted = [name for name, is_wanted in asked.items() if is_wanted]
    packet = run(_check(data_dir, wanted))
    document = packet.as_json()
    try:
        output.mkdir(parents=True, exist_ok=True)
        machine = orjson.dumps(document, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)
        (output / f"{FILE}.json").write_bytes(machine)
        (output / f"{FILE}.md").write_text(as_page(document), encoding="utf-8")
    except OSError as failure:
        raise failed(f"evidence not written: {failure}") from None
    say(f"evidence: {output / FILE}.json, {output / FILE}.md")
    raise typer.Exit(Exit.DONE if packet.passed else Exit.FAILED)


async def _check(data_dir: Path, wanted: Sequence[str]) -> Packet:
    gates: list[Gate] = []

    def note(gate: Gate) -> None:
        gates.append(gate)
        say(f"{gate.result.upper():8} {gate.name} ({gate.seconds:.1f} s)")

    async with gateway(data_dir) as chosen:
        timeout = httpx.Timeout(ANSWER_SECONDS, connect=CONNECT_SECONDS)
        async with httpx.AsyncClient(base_url=chosen.api_url, timeout=timeout) as client:
            judged = Gateway(client, chosen, credentials(chosen, "release")(Role.OPS))
            try:
                for gate in await judged.health():
                    note(gate)
                note(await judged.policy())
            except httpx.TransportError as failure:
                reason = {"reason": str(failure) or type(failure).__name__}
                note(Gate("health", "GET /health", Result.FAILED, 0.0, reason))
        for name, command in commands(data_dir, wanted).items():
            note(await run_command(name, command, say))
        return Packet(chosen.api_url, gates)


def as_page(document: dict[str, Any]) -> str:
    """Return the packet as a Markdown page."""
    verdict = "PASSED" if document["passed"] else "FAILED"
    lines = [f"# Release check: {verdict}", "", "| | |", "| --- | --- |"]
    lines += [f"| {name} | {document[name]} |" for name in SHOWN]
    lines += ["", "| Gate | Result | Seconds | Command |", "| --- | --- | --- | --- |"]
    for gate in document["gates"]:
        cells = (gate["gate"], gate["result"], f"{gate['seconds']:.1f}", f"`{gate['command']}`")
        lines.append(f"| {' | '.join(cells)} |")
    for gate in document["gates"]:
        if gate["result"] == Result.FAILED:
            shown = orjson.dumps(gate["details"], option=orjson.OPT_INDENT_2).decode()
            lines += ["", f"## {gate['gate']}", "", "```json", shown, "```"]
    return "\n".join([*lines, ""])


def _commit() -> str | None:
    """Return the commit of the checkout, marked if files differ from it; None outside of one."""
    git = shutil.which("git")
    if git is None:
        return None
    command = [git, "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"]
    found = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603  no input
    return found.stdout.strip() or None
