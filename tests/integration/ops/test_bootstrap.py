"""`dispatch bootstrap` as a process: evidence on stdout, nothing changed the second time."""

import asyncio
import os
import sysconfig
from collections.abc import AsyncIterator
from pathlib import Path

import orjson
import pytest
import pytest_asyncio
from pydantic import JsonValue

from runtime.stack import EmbeddedStack, PartName

pytestmark = pytest.mark.asyncio(loop_scope="module")

DISPATCH = Path(sysconfig.get_path("scripts")) / "dispatch"
COUNTS = {
    "accounts": 1,
    "sites": 1,
    "contacts": 1,
    "technicians": 1,
    "tickets": 0,
    "audit_events": 0,
}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def stack(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[EmbeddedStack]:
    folder = tmp_path_factory.mktemp("stack")
    async with EmbeddedStack(folder, parts={PartName.POSTGRES}) as running:
        yield running


async def bootstrap(url: str | None, **variables: str) -> tuple[int, bytes, str]:
    process = await asyncio.create_subprocess_exec(
        DISPATCH,
        "bootstrap",
        env={**os.environ, "DISPATCH_DATABASE_URL": url or "", **variables},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await process.communicate()
    assert process.returncode is not None
    return process.returncode, out, err.decode()


async def test_a_second_run_changes_nothing(stack: EmbeddedStack, tmp_path: Path) -> None:
    evidence_path = tmp_path / "new" / "evidence.json"
    runs: list[dict[str, JsonValue]] = []
    for _ in range(2):
        code, out, err = await bootstrap(
            stack.owner_database_url,
            DISPATCH_BOOTSTRAP_SKIP_API_READY_CHECK="yes",
            DISPATCH_BOOTSTRAP_EVIDENCE_PATH=str(evidence_path),
        )
        assert code == 0, err
        assert all(line.startswith("[dispatch-bootstrap]") for line in err.splitlines())
        assert orjson.loads(evidence_path.read_bytes()) == orjson.loads(out)
        runs.append(orjson.loads(out))
    first, second = runs
    assert first.pop("timestamp") != second.pop("timestamp")
    assert first == second
    assert first["counts"] == COUNTS
    assert first["ready_check"] == {
        "endpoint": "http://127.0.0.1:8080/health",
        "performed": False,
        "status": "skipped",
        "attempts": 0,
    }


async def test_the_fixtures_are_those_of_the_contract(stack: EmbeddedStack) -> None:
    _, out, _ = await bootstrap(
        stack.owner_database_url, DISPATCH_BOOTSTRAP_SKIP_API_READY_CHECK="1"
    )
    fixtures = orjson.loads(out)["fixtures"]
    assert fixtures["account"].pop("created_at").endswith("Z")
    assert fixtures["contact"].pop("id")
    assert fixtures == {
        "account_id": "d3f77db0-5d1a-4f9c-b0ea-111111111111",
        "site_id": "7f6a2b2c-8f1e-4f2b-b3a1-222222222222",
        "technician_id": "00000000-0000-0000-0000-000000000083",
        "account": {
            "id": "d3f77db0-5d1a-4f9c-b0ea-111111111111",
            "name": "Demo Home Services",
        },
        "site": {
            "id": "7f6a2b2c-8f1e-4f2b-b3a1-222222222222",
            "account_id": "d3f77db0-5d1a-4f9c-b0ea-111111111111",
            "name": "Demo Site North",
            "city": "Oakland",
            "region": "CA",
        },
        "contact": {"phone": "+1-555-0100", "email": "dispatcher-demo@example.com"},
        "technician": {
            "id": "00000000-0000-0000-0000-000000000083",
            "name": "Demo Technician",
            "skills": ["DEFAULT"],
            "regions": ["CA"],
        },
    }


async def test_an_api_that_is_not_healthy_fails_the_run(stack: EmbeddedStack) -> None:
    code, out, err = await bootstrap(
        stack.owner_database_url,
        DISPATCH_API_URL="http://127.0.0.1:9",
        DISPATCH_BOOTSTRAP_API_HEALTH_RETRIES="2",
        DISPATCH_BOOTSTRAP_API_HEALTH_DELAY_MS="1",
    )
    assert code == 1
    assert not out
    assert "was not ok after 2 attempts" in err


async def test_a_database_that_is_away_fails_the_run() -> None:
    code, out, err = await bootstrap("postgresql://dispatch@127.0.0.1:9/dispatch")
    assert code == 1
    assert not out
    assert all(line.startswith("[dispatch-bootstrap]") for line in err.splitlines())
