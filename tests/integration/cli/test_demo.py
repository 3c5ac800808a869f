"""`dispatch demo` on the real stack: 0 when everything holds, 1 with the name of what does not."""

import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import orjson
import pytest

from cli import main as cli
from cli.scenario import demo as demo_module
from cli.scenario.lifecycle import LIFECYCLE, Step
from policy.model import State
from tests.integration.servers.gateway import TestGateway

pytest_plugins = ["tests.integration.servers.stack_fixture"]


@pytest.fixture(autouse=True)
def _environment(gateway: TestGateway, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    for name, value in gateway.env.items():
        monkeypatch.setenv(name, value)


def demo(monkeypatch: pytest.MonkeyPatch, *options: str) -> int:
    monkeypatch.setattr(sys, "argv", ["dispatch", "demo", *options])
    with pytest.raises(SystemExit) as ending:
        cli.main()
    return int(ending.value.code or 0)


def broken(place: int, **changes: object) -> Sequence[Step]:
    return [
        replace(step, **changes) if index == place else step  # type: ignore[arg-type]
        for index, step in enumerate(LIFECYCLE)
    ]


def test_the_lifecycle_holds_and_is_shown_step_by_step(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], gateway: TestGateway
) -> None:
    assert demo(monkeypatch) == 0
    shown = capsys.readouterr().out
    for step in LIFECYCLE:
        assert step.tool in shown
    assert "missing_evidence_keys: photo_after_latched_alignment" in shown
    assert "missing_checklist_keys: billing_authorization" in shown
    assert "Every expectation held." in shown
    ticket_id = shown.split("Ticket       ")[1].split()[0]
    assert gateway.get(f"/tickets/{ticket_id}").json()["state"] == "CLOSED"


def test_machines_get_json_also_with_dev_headers(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("DISPATCH_AUTH_JWT_SECRET")
    assert demo(monkeypatch, "--json") == 0
    record = orjson.loads(capsys.readouterr().out)
    assert record["passed"]
    assert record["failures"] == []
    assert [step["tool"] for step in record["steps"]] == [step.tool for step in LIFECYCLE]
    assert [event["seq"] for event in record["timeline"]] == list(range(1, len(LIFECYCLE)))
    refused = next(step for step in record["steps"] if step["status"] == 409)
    error = refused["answer"]["error"]
    assert error["missing_evidence_keys"] == ["photo_after_latched_alignment"]


def test_a_broken_expectation_is_named_and_the_exit_code_is_1(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(demo_module, "LIFECYCLE", broken(1, state=State.TRIAGED))
    assert demo(monkeypatch) == 1
    output = capsys.readouterr()
    assert "Expectations that failed: 1." in output.out
    assert output.err.splitlines() == [
        "FAILED step 2 ticket.triage: state TRIAGED: 'READY_TO_SCHEDULE' instead of 'TRIAGED'"
    ]


def test_the_walk_ends_at_an_unexpected_status(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(demo_module, "LIFECYCLE", broken(2, payload={"options": []}))
    assert demo(monkeypatch, "--json") == 1
    record = orjson.loads(capsys.readouterr().out)
    assert not record["passed"]
    assert len(record["steps"]) == 3
    assert "400 instead of 200 INVALID_REQUEST" in record["failures"][0]
    assert record["failures"][-1] == f"scenario: all steps: {len(LIFECYCLE) - 3} not reached"


def test_waiting_for_enter_needs_a_terminal(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert demo(monkeypatch, "--pause") == 1
    assert "needs a terminal" in capsys.readouterr().err
