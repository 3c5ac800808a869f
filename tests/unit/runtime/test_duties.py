"""Each process gets the keys and logins of its duty, and the store's policies allow no more."""

import json
from pathlib import Path

import pytest

from runtime.stack.layout import ALL_PARTS, LayoutBuilder
from runtime.stack.ports import PortChooser, Ports
from runtime.stack.state import StackSecrets
from runtime.stack.store_policies import policies

SHOWN = Path(__file__).parents[3] / "deploy" / "store"
KEYS = {
    "DISPATCH_SIGNING_KEYS",
    "DISPATCH_DOSSIER_KEYS",
    "DISPATCH_S3_ACCESS_KEY_ID",
    "DISPATCH_S3_SECRET_ACCESS_KEY",
    "DISPATCH_DATABASE_URL",
}
WITHOUT = {
    "worker": set(),
    "api": {"DISPATCH_SIGNING_KEYS"},
    "relay": KEYS - {"DISPATCH_DATABASE_URL"},
    "automation": KEYS,
}


def test_every_process_starts_with_the_keys_of_its_duty_alone(tmp_path: Path) -> None:
    environ = {"DISPATCH_SMS_ENABLED": "true", "DISPATCH_WORKER_ENABLED": "true"}
    secrets = StackSecrets()
    builder = LayoutBuilder(tmp_path, secrets, environ, PortChooser(), print)
    layout = builder.build(ALL_PARTS, Ports())
    started = {part.name: dict(part.env or {}) for part in layout.applications}

    assert {name: KEYS - set(env) for name, env in started.items()} == WITHOUT
    logins = [started[name]["DISPATCH_S3_ACCESS_KEY_ID"] for name in ("worker", "api")]
    assert len({*logins, secrets.s3_access_key_id}) == 3
    assert len({started[name]["DISPATCH_DATABASE_URL"] for name in ("worker", "api")}) == 2


@pytest.mark.parametrize("duty", sorted(policies("b")))
def test_the_policies_that_are_shown_are_those_that_are_enforced(duty: str) -> None:
    shown = json.loads((SHOWN / f"{duty}.json").read_text())
    assert shown == json.loads(json.dumps(policies("dispatch-evidence")[duty]))
    assert "dispatch-evidence/" in json.dumps(shown)


def test_only_a_worker_deletes_and_nobody_bypasses_a_retention() -> None:
    actions = {
        duty: {action for each in document["Statement"] for action in each["Action"]}
        for duty, document in policies("b").items()
    }
    assert not [each for each in set().union(*actions.values()) if "Bypass" in each or "*" in each]
    assert {duty for duty, allowed in actions.items() if any("Delete" in a for a in allowed)} == {
        "worker"
    }
    assert "s3:PutObjectLegalHold" not in actions["worker"] | actions["gateway"]
