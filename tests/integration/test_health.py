"""Health on a real stack: what is up is up, and what is down is named (contract 15.4)."""

import pytest

from policy.bundle import load_bundle
from tests.integration.gateway import TestGateway

pytest_plugins = ["tests.integration.stack_fixture"]


def test_a_complete_stack_is_healthy(gateway: TestGateway) -> None:
    answer = gateway.http.get("/health")
    body = answer.json()

    assert answer.status_code == 200, body["failures"]
    assert (body["status"], body["service"], body["failures"]) == ("ok", "dispatch-api", [])
    assert body["checks"]["engine"]["status"] == "pass"
    assert body["checks"]["object_store"] == {
        "name": "object_store",
        "status": "pass",
        "configured": True,
    }
