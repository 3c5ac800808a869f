"""The runbooks that ship with the product (contract 15.3)."""

from importlib.resources import files

PREFIX = "dispatch/ops/runbooks/"
URL_PREFIX = "/ops/runbooks/"
SOURCE_PREFIX = "deploy/runbooks/"
FILES = {
    "STUCK_SCHEDULING": "stuck_scheduling.md",
    "COMPLETION_REJECTION_SPIKE": "completion_rejection.md",
    "IDEMPOTENCY_CONFLICT_SPIKE": "idempotency_conflict.md",
    "AUTH_POLICY_FAILURE_SPIKE": "auth_policy_failure.md",
    "AUTONOMY_CONTROL_ROLLBACK": "glz_12_autonomy_rollout_controls.md",
    "DB_BACKUP": "db_backup.md",
    "WAL_ARCHIVE_RECOVERY": "db_wal_archive_recovery.md",
    "HEALTH_DB_MIGRATION": "health_db_migration.md",
}
HEALTH_RUNBOOK = PREFIX + FILES["HEALTH_DB_MIGRATION"]


def runbook_paths() -> dict[str, str]:
    """Return the full path of each runbook, by code."""
    return {code: PREFIX + name for code, name in FILES.items()}


def places(name: str) -> dict[str, str]:
    """Return where a runbook is found: as clients of old know it, as served, and in the sources."""
    return {
        "runbook": PREFIX + name,
        "runbook_url": URL_PREFIX + name,
        "runbook_file": SOURCE_PREFIX + name,
    }


def runbook_text(name: str) -> bytes | None:
    """Return the document of that name; None if there is none."""
    folder = files("api.ops") / "runbooks"
    shipped = {each.name for each in folder.iterdir() if each.name.endswith(".md")}
    return (folder / name).read_bytes() if name in shipped else None
