"""The gates of a release: each is a command or a question to the gateway, with its outcome."""

import asyncio
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
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
        "replay": [*python, "pytest", "-q", str(REPLAY)],
        "demo": [*ours, "demo", *common],
        "drill": [*ours, "drill", *common],
        "verify": [*ours, "verify", *common],
    }
    return {name: command for name, command in known.items() if name in wanted}


async def run_command(name: str, command: Sequence[str]) -> Gate:
    """Run a gate's command; its exit code judges, its output is kept, the end of it if long."""
    shown = " ".join([Path(command[0]).name, *command[1:]])
    if name == "replay" and not REPLAY.is_dir():
        return Gate(name, shown, Result.SKIPPED, 0.0, {"reason": f"no {REPLAY} here"})
    began = time.perf_counter()
    process = await asyncio.create_subprocess_exec(
        *command, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    out, err = await process.communicate()
    seconds = time.perf_counter() - began
    details = {"exit_code": process.returncode, **_output(out, err)}
    return Gate(name, shown, _result(process.returncode == 0), seconds, details)


def _output(out: bytes, err: bytes) -> dict[str, Any]:
    try:
        return {"output": orjson.loads(out)}
    except orjson.JSONDecodeError:
        lines = (out + err).decode(errors="replace").splitlines()
        return {"output": lines[-TAIL_LINES:]}


def _result(passed: bool) -> Result:  # noqa: FBT001  the question's own answer
    return Result.PASSED if passed else Result.FAILED
