"""Runbooks: complete, indexed, short, and they refer to each other truly."""

import re
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[3] / "deploy" / "runbooks"
RUNBOOKS = sorted(path.name for path in FOLDER.glob("*.md"))
OF_THE_CONTRACT = {
    *("stuck_scheduling.md", "completion_rejection.md", "idempotency_conflict.md"),
    *("auth_policy_failure.md", "glz_12_autonomy_rollout_controls.md", "db_backup.md"),
    *("db_wal_archive_recovery.md", "health_db_migration.md"),
}
OF_THE_PRODUCT = {
    *("outbox_backlog.md", "engine_backlog.md", "object_store_failure.md", "kill_switch.md"),
    *("backup_and_restore.md", "demo_day.md", "pilot_cutover_readiness.md"),
    *("launch_checkpoint.md", "launch_gate_evidence_packet.md"),
    *("evidence_integrity.md", "audit_anchoring.md", "undecided_commands.md"),
}


def test_every_runbook_that_is_promised_is_there() -> None:
    assert set(RUNBOOKS) == OF_THE_CONTRACT | OF_THE_PRODUCT | {"README.md"}


def test_the_index_links_to_every_runbook() -> None:
    links = set(re.findall(r"\]\(([a-z0-9_]+\.md)\)", (FOLDER / "README.md").read_text("utf-8")))
    assert links == set(RUNBOOKS) - {"README.md"}


@pytest.mark.parametrize("name", RUNBOOKS)
def test_a_runbook_refers_only_to_runbooks_that_exist(name: str) -> None:
    text = (FOLDER / name).read_text("utf-8")
    named = set(re.findall(r"\b([a-z0-9_]+\.md)\b", text))
    assert named - {"check.md"} <= set(RUNBOOKS)  # release-check.md is written, not read


@pytest.mark.parametrize("name", RUNBOOKS)
def test_a_runbook_is_short_enough_to_be_read_at_night(name: str) -> None:
    assert len((FOLDER / name).read_text("utf-8").splitlines()) <= 80
