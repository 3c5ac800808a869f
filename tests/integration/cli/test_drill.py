"""`dispatch drill` and `dispatch release-check`, on a stack that nobody else has written to."""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import orjson
import pytest

from cli import main as cli
from cli.drill.runbook import follow
from tests.integration.servers.gateway import TestGateway
from tests.integration.servers.running_stack import gateway_of, running

ALERTS = [
    "STUCK_SCHEDULING",
    "COMPLETION_REJECTION_SPIKE",
    "IDEMPOTENCY_CONFLICT_SPIKE",
    "AUTH_POLICY_FAILURE_SPIKE",
]


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestGateway]:
    """Run a stack of its own: other tests repair rows by SQL, which a release check must refuse."""
    with running(tmp_path_factory.mktemp("drill")) as stack, gateway_of(stack) as found:
        yield found


@pytest.fixture(autouse=True)
def _environment(gateway: TestGateway, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    for name, value in {**gateway.env, "DISPATCH_DATABASE_URL": gateway.owner_url}.items():
        monkeypatch.setenv(name, value)


def ended(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    """Run a command and return its exit code."""
    monkeypatch.setattr(sys, "argv", ["dispatch", *arguments])
    with pytest.raises(SystemExit) as ending:
        cli.main()
    return int(ending.value.code or 0)


def printed(capsys: pytest.CaptureFixture[str]) -> Any:  # noqa: ANN401  any JSON value
    return orjson.loads(capsys.readouterr().out)


def test_every_alert_fires_and_its_runbook_works(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    code = ended(monkeypatch, "drill", "--json")
    document = printed(capsys)
    assert (code, document["passed"]) == (0, True), document
    assert [drill["alert"] for drill in document["drills"]] == ALERTS
    for drill in document["drills"]:
        names = [check["check"] for check in drill["checks"]]
        assert f"alert {drill['alert']} fires" in names
        assert "query 1 finds rows" in names


def test_a_drill_leaves_the_running_gateways_counters_alone(
    monkeypatch: pytest.MonkeyPatch, gateway: TestGateway
) -> None:
    before = gateway.get("/ops/alerts").json()["signals"]
    assert ended(monkeypatch, "drill") == 0
    assert gateway.get("/ops/alerts").json()["signals"] == before


def test_a_login_that_sees_too_little_leaves_the_queries_out(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], gateway: TestGateway
) -> None:
    monkeypatch.setenv("DISPATCH_DATABASE_URL", gateway.env["DISPATCH_DATABASE_URL"])
    assert ended(monkeypatch, "drill", "--json") == 0
    checks = [check["check"] for drill in printed(capsys)["drills"] for check in drill["checks"]]
    assert "1 queries left out: no login that sees every tenant" in checks


def test_an_alert_that_does_not_fire_fails_its_drill_and_no_other(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    code = ended(monkeypatch, "drill", "--live", "--json")  # tickets are stuck after an hour there
    drills = printed(capsys)["drills"]
    assert code == 1
    assert {drill["alert"]: drill["passed"] for drill in drills} == {
        alert: alert != "STUCK_SCHEDULING" for alert in ALERTS
    }
    failed = [check["failure"] for check in drills[0]["checks"] if check["failure"]]
    assert any("stuck after 60 minutes here" in failure for failure in failed)


async def test_following_a_runbook_notices_what_does_not_work(gateway: TestGateway) -> None:
    text = """
```sql
SELECT 1 WHERE false;
```
```sql
SELECT '<key>', '<other>';
```
```sql
SELECT nothing FROM nowhere;
```
```sql
DELETE FROM command_log;
```
Then `GET /health`, `GET /nowhere` and `GET /tickets/{ticketId}`.
"""
    async with httpx.AsyncClient(base_url=gateway.url) as client:
        identity = gateway.as_role("dispatcher")
        found = follow(text, {"<key>": "k"}, client, identity, gateway.owner_url)
        failures = {check.name: check.failure async for check in found}
    assert failures["query 1 finds rows"] == "no rows"
    assert failures["query 2 finds rows"] == "nothing stands for <other>"
    assert "UndefinedTable" in (failures["query 3 finds rows"] or "")
    assert "ReadOnly" in (failures["query 4 finds rows"] or "")
    assert failures["GET /health"] is None
    assert failures["GET /nowhere"] == "HTTP 404"
    assert len(failures) == 6


def test_a_release_check_writes_the_evidence_packet(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    assert ended(monkeypatch, "release-check", "--output", "packet/evidence") == 0
    packet = orjson.loads((tmp_path / "packet/evidence/release-check.json").read_bytes())
    results = {gate["gate"]: gate["result"] for gate in packet["gates"]}
    assert results == {
        "health": "passed",
        "migrations": "passed",
        "policy": "passed",
        "replay": "skipped",
        "demo": "passed",
        "verify": "passed",
    }
    assert packet["passed"] is True
    page = (tmp_path / "packet/evidence/release-check.md").read_text()
    assert "# Release check: PASSED" in page
    assert "| verify | passed |" in page


def test_a_gateway_with_another_policy_fails_the_release_check(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("DISPATCH_INTAKE_DUPLICATE_WINDOW_MINUTES", "7")
    assert ended(monkeypatch, "release-check") == 1
    packet = orjson.loads((tmp_path / "evidence/release-check.json").read_bytes())
    failed = [gate["gate"] for gate in packet["gates"] if gate["result"] == "failed"]
    assert failed == ["policy"]
    assert "# Release check: FAILED" in (tmp_path / "evidence/release-check.md").read_text()
