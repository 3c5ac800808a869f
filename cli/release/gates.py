"""The gates of a release: each is a command or a question to the gateway, with its outcome."""

import asyncio
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from enum import StrEnum
from pathlib import Path
from typing import Any, Final

import httpx
import orjson

from cli.scenario.walk import document_of
from migrations import scripts
from policy.model import Role
from runtime.bundle import installed_bundle
from runtime.settings import Settings
from runtime.stack.servers import script

TAIL_LINES: Final = 40
REPLAY: Final = Path("tests/replay")
TICK: Final = timedelta(seconds=10)
CHUNK_BYTES: Final = 65_536
LAST_CHARACTERS: Final = 72


class Result(StrEnum):
    """What became of a gate; one that could not be asked here is skipped, never passed."""

    PASSED = "passed"
    FAILED = "failed"
    SKIPPED = "skipped"


@dataclass(frozen=True)
class Gate:
    """One gate: how it was asked, and what came of it."""

    name: str
    command: str
    result: Result
    seconds: float
    details: Mapping[str, Any] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        """Return the gate for machines."""
        return {
            "gate": self.name,
            "command": self.command,
            "result": self.result,
            "seconds": round(self.seconds, 2),
            "details": self.details,
        }


@dataclass(frozen=True)
class Gateway:
    """The gateway that is judged, and the operator who asks."""

    client: httpx.AsyncClient
    chosen: Settings
    identity: Mapping[str, str]

    async def health(self) -> list[Gate]:
        """Return what /health says of the parts and of the migrations."""
        began = time.perf_counter()
        body = document_of(await self.client.get("/health"))
        seconds = time.perf_counter() - began
        checks = body.get("checks", {})
        schema = checks.get("migration", {})
        newest = scripts()[-1].name
        current = schema.get("schema_version") == newest and "fail" not in schema.values()
        shown = {"status": body.get("status"), "failures": body.get("failures")}
        return [
            Gate("health", "GET /health", _result(body.get("status") == "ok"), seconds, shown),
            Gate(
                "migrations",
                "GET /health",
                _result(current),
                seconds,
                {"newest": newest, "applied": schema.get("schema_version")},
            ),
        ]

    async def policy(self) -> Gate:
        """Return whether the gateway judges by the bundle of this release."""
        began = time.perf_counter()
        tools = document_of(await self.client.get("/tools", headers=self.identity))
        expected = installed_bundle(self.chosen)
        shown = {
            "expected": expected.sha256,
            "policy_bundle_sha256": tools.get("policy_bundle_sha256"),
            "policy_bundle_version": tools.get("policy_bundle_version"),
            "contract_version": tools.get("contract_version"),
            "surface_hash": tools.get("surface_hash"),
        }
        same = shown["policy_bundle_sha256"] == expected.sha256
        seconds = time.perf_counter() - began
        return Gate("policy", f"GET /tools as {Role.OPS}", _result(same), seconds, shown)


def commands(data_dir: Path, wanted: Sequence[str]) -> dict[str, Sequence[str]]:
    """Return the command of each gate in `wanted`; they run in this order."""
    ours = [script("dispatch")]
    common = ["--json", "--data-dir", str(data_dir)]
    python = [sys.executable, "-m"]
    known = {
        "lint": [*python, "ruff", "check", "."],
        "format": [*python, "ruff", "format", "--check", "."],
        "imports": [script("lint-imports")] if "imports" in wanted else [],
        "types": [*python, "mypy", "."],
        "tests": [*python, "pytest", "-q"],
        "replay": [*python, "pytest", "-q", "-n", "2", str(REPLAY)],
        "demo": [*ours, "demo", *common],
        "drill": [*ours, "drill", *common],
        "verify": [*ours, "verify", *common],
    }
    return {name: command for name, command in known.items() if name in wanted}


async def run_command(
    name: str, command: Sequence[str], tell: Callable[[str], None], tick: timedelta = TICK
) -> Gate:
    """Run a gate's command; its exit code judges, its output is kept, the end of it if long.

    `tell` hears that it runs and, while it does, how far it says to be.
    """
    shown = " ".join([Path(command[0]).name, *command[1:]])
    if name == "replay" and not REPLAY.is_dir():
        return Gate(name, shown, Result.SKIPPED, 0.0, {"reason": f"no {REPLAY} here"})
    began = time.perf_counter()
    tell(f"{'RUNNING':8} {name}: {shown}")
    process = await asyncio.create_subprocess_exec(
        *command, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    out, err = bytearray(), bytearray()

    async def tell_again() -> None:
        while True:
            await asyncio.sleep(tick.total_seconds())
            tell(f"{'':8} {name}, {time.perf_counter() - began:.0f} s: {_last_words(out, err)}")

    telling = asyncio.create_task(tell_again())
    try:
        await asyncio.gather(
            _drain(process.stdout, out), _drain(process.stderr, err), process.wait()
        )
    finally:
        telling.cancel()
    seconds = time.perf_counter() - began
    details = {"exit_code": process.returncode, **_output(bytes(out), bytes(err))}
    return Gate(name, shown, _result(process.returncode == 0), seconds, details)


async def _drain(stream: asyncio.StreamReader | None, into: bytearray) -> None:
    while stream is not None and (chunk := await stream.read(CHUNK_BYTES)):
        into.extend(chunk)


def _last_words(*outputs: bytearray) -> str:
    """Return the end of the last line that was printed, of the first output that has one."""
    for output in outputs:
        lines = output.decode(errors="replace").split("\n")
        for line in reversed(lines):
            if line.strip():
                return line.strip()[-LAST_CHARACTERS:]
    return "nothing said yet"


def _output(out: bytes, err: bytes) -> dict[str, Any]:
    try:
        return {"output": orjson.loads(out)}
    except orjson.JSONDecodeError:
        lines = (out + err).decode(errors="replace").splitlines()
        return {"output": lines[-TAIL_LINES:]}


def _result(passed: bool) -> Result:  # noqa: FBT001  the question's own answer
    return Result.PASSED if passed else Result.FAILED
