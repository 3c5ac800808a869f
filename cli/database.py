"""`dispatch migrate` and `dispatch bootstrap`: the database of an installation."""

import os
from datetime import timedelta
from pathlib import Path

import orjson

from cli.caller import owner_database_url
from cli.output import DataDir, failed, say, tell
from cli.work import run, settings
from policy.rules.bundle import load_bundle
from runtime.client import DEFAULT_DATA_DIR
from runtime.postgres import bootstrap as installation
from runtime.postgres.migrate import migrate as apply_migrations
from runtime.settings import Settings

_PREFIX = "[dispatch-bootstrap]"


def migrate(data_dir: DataDir = DEFAULT_DATA_DIR) -> None:
    """Bring the database's schema up to date; harmless if it is.

    The login of DISPATCH_DATABASE_URL must own the schema. Without that variable the database
    of the running embedded stack is meant.
    """
    url = _owner_url(settings(data_dir), data_dir)
    applied = run(apply_migrations(url, load_bundle().pairs))
    for path in applied:
        tell(f"applied {path}")
    if not applied:
        tell("nothing to apply")


def bootstrap(data_dir: DataDir = DEFAULT_DATA_DIR) -> None:
    """Migrate, insert the demo fixtures, wait for the API, and print the evidence as JSON.

    Evidence also goes to DISPATCH_BOOTSTRAP_EVIDENCE_PATH. The API's health is not awaited with
    DISPATCH_BOOTSTRAP_SKIP_API_READY_CHECK=true.
    """
    chosen = settings(data_dir)
    evidence = run(_bring_up(chosen, _owner_url(chosen, data_dir)), prefix=_PREFIX)
    text = orjson.dumps(evidence, option=orjson.OPT_INDENT_2).decode()
    if chosen.bootstrap_evidence_path is not None:
        _write(chosen.bootstrap_evidence_path, text)
    tell(text)


async def _bring_up(chosen: Settings, url: str) -> installation.Evidence:
    say(f"{_PREFIX} applying migrations and fixtures")
    evidence = await installation.apply(
        url,
        load_bundle().pairs,
        account_id=chosen.demo_account_id,
        site_id=chosen.demo_site_id,
        tech_id=chosen.demo_tech_id,
    )
    say(f"{_PREFIX} database is ready")
    return {**evidence, "ready_check": await _ready_check(chosen)}


async def _ready_check(chosen: Settings) -> installation.Evidence:
    if chosen.bootstrap_skip_api_ready_check:
        say(f"{_PREFIX} API health check skipped")
        return installation.skipped_ready_check(chosen.api_url)
    say(f"{_PREFIX} waiting for {chosen.api_url}/health")
    delay = timedelta(milliseconds=chosen.bootstrap_api_health_delay_ms)
    answer = await installation.check_ready(
        chosen.api_url,
        retries=chosen.bootstrap_api_health_retries,
        delay_seconds=delay.total_seconds(),
    )
    say(f"{_PREFIX} API is healthy")
    return answer


def _owner_url(chosen: Settings, data_dir: Path) -> str:
    return owner_database_url(data_dir) or chosen.database_url.get_secret_value()


def _write(path: Path, text: str) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{text}{os.linesep}", encoding="utf-8")
    except OSError as failure:
        raise failed(f"evidence not written: {failure}", prefix=_PREFIX) from None
