"""The commands of people against a real stack: what they print, and how they end."""

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple
from uuid import uuid4

import orjson
import pytest

from cli import main as cli
from tests.integration.servers.gateway import TestGateway

pytest_plugins = ["tests.integration.servers.stack_fixture"]

DONE, FAILED, DENIED, USAGE = 0, 1, 2, 64
CHECKLIST = (
    "billing_authorization",
    "onsite_photos_after",
    "parts_used_or_needed",
    "resolution_status",
    "work_performed",
)


class Ended(NamedTuple):
    """How a command ended, and what it printed."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:  # noqa: ANN401  any JSON value
        """What it printed, as JSON."""
        return json.loads(self.out)


Dispatch = Callable[..., Ended]


@pytest.fixture
def dispatch(
    gateway: TestGateway,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
) -> Dispatch:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")
    for name, value in gateway.env.items():
        monkeypatch.setenv(name, value)

    def run(*words: str) -> Ended:
        monkeypatch.setattr(sys, "argv", ["dispatch", *words])
        with pytest.raises(SystemExit) as ending:
            cli.main()
        printed = capsys.readouterr()
        return Ended(int(ending.value.code or 0), printed.out, printed.err)

    return run


@pytest.fixture
def create(gateway: TestGateway) -> tuple[str, ...]:
    place = ("--account-id", gateway.account_id, "--site-id", gateway.site_id)
    return ("ticket", "create", *place, "--summary", "Front door does not latch")


def test_a_lifecycle_by_commands(
    dispatch: Dispatch, gateway: TestGateway, create: tuple[str, ...]
) -> None:
    ticket = dispatch(*create, "--json").json["id"]
    window = gateway.window()
    options = orjson.dumps({"options": [window]}).decode()
    what = ("--incident-type", "DOOR_WONT_LATCH", "--priority", "urgent", "--ready-to-schedule")
    dates = ("--start", window["start"], "--end", window["end"])
    arrival = ("--timestamp", window["start"])
    checklist = {"checklist_status": dict.fromkeys(CHECKLIST, True)}
    Path("done.json").write_text(json.dumps(checklist), encoding="utf-8")

    for words in (
        ("ticket", "triage", ticket, *what),
        ("schedule", "propose", ticket, "--data", options),
        ("schedule", "confirm", ticket, *dates),
        ("assignment", "recommend", ticket, "--service-type", "DOOR_WONT_LATCH"),
        ("assignment", "dispatch", ticket, "--tech-id", gateway.tech_id),
        ("tech", "check-in", ticket, *arrival),
    ):
        assert dispatch(*words).code == DONE, words
    complete = ("tech", "complete", ticket, "--data", "@done.json", "--as", "technician")
    denied = dispatch(*complete)
    waiting = dispatch("ticket", "get", ticket)

    assert denied.code == DENIED
    assert "DENIED 409 CLOSEOUT_REQUIREMENTS_INCOMPLETE (evidence)" in denied.err
    assert "missing_evidence_keys: signature_or_no_signature_reason" in denied.err
    assert "What to do: Supply what is listed" in denied.err
    assert "IN_PROGRESS" in waiting.out
    assert ticket in waiting.out


def test_a_command_says_its_key_and_repeats_under_it(
    dispatch: Dispatch, create: tuple[str, ...]
) -> None:
    first = dispatch(*create, "--json")
    key = first.err.partition("key: ")[2].split()[0]
    again = dispatch(*create, "--json", "--key", key)
    other = dispatch(*create, "--nte-cents", "5", "--key", key)
    shown = dispatch(*create, "--key", key)

    assert again.json == first.json
    assert (other.code, "IDEMPOTENCY_PAYLOAD_MISMATCH" in other.err) == (DENIED, True)
    assert "answered before" in shown.err


def test_reads_are_readable(dispatch: Dispatch, gateway: TestGateway) -> None:
    ticket = gateway.ready_ticket()
    kind = ("--kind", "PHOTO", "--uri", "s3://b/photo", "--evidence-key", "photo_after")
    assert dispatch("closeout", "add-evidence", ticket, *kind).code == DONE

    timeline = dispatch("ticket", "timeline", ticket, "--limit", "1")
    evidence = dispatch("closeout", "list-evidence", ticket)
    queue = dispatch("cockpit", "--state", "READY_TO_SCHEDULE", "--ticket-id", ticket)
    packet = dispatch("tech", "job-packet", ticket)
    paused = dispatch("ops", "autonomy", "state", "--json")
    status = dispatch("contract-status", "--as", "audit", "--json")

    assert "ticket.create" in timeline.out
    assert "more: --cursor" in timeline.out
    assert "photo_after" in evidence.out
    assert ticket in queue.out
    assert "schedule_propose" in queue.out
    assert "resolution_status" in packet.out
    assert paused.json["chain"] == []
    assert status.json["tool_count"] == 45


def test_a_role_is_a_gate(dispatch: Dispatch, create: tuple[str, ...]) -> None:
    denied = dispatch(*create, "--as", "finance", "--json")

    assert denied.code == DENIED
    assert denied.json["error"]["code"] == "TOOL_ROLE_FORBIDDEN"
    assert "allowed_roles: dispatcher, agent" in denied.err


def test_a_token_comes_from_a_file_or_the_environment(
    dispatch: Dispatch,
    gateway: TestGateway,
    create: tuple[str, ...],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    token = gateway.bearer("qa")["Authorization"].removeprefix("Bearer ")
    Path("token").write_text(f"{token}\n", encoding="utf-8")
    by_file = dispatch(*create, "--token-file", "token")
    monkeypatch.setenv("DISPATCH_TOKEN", token)
    by_environment = dispatch(*create)
    overruled = dispatch(*create, "--as", "agent")

    assert (by_file.code, by_environment.code, overruled.code) == (DENIED, DENIED, DONE)
    assert "TOOL_ROLE_FORBIDDEN" in by_file.err
    assert dispatch(*create, "--token-file", "nowhere").code == FAILED


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("ticket", "create", "--summary", "x"), USAGE, "missing: --account-id, --site-id"),
        (("ticket", "get"), USAGE, "TICKET"),
        (("ticket", "get", str(uuid4())), FAILED, "FAILED 404 TICKET_NOT_FOUND"),
        (("ticket", "get", "mine"), FAILED, "FAILED 400 INVALID_TICKET_ID"),
        (("ticket", "triage", str(uuid4()), "--priority", "soon"), USAGE, "priority"),
        (("ticket", "cancel", str(uuid4()), "--data", "[]"), USAGE, "must be a JSON object"),
        (("ticket", "cancel", str(uuid4()), "--data", "@none"), USAGE, "cannot be read"),
        (("schedule", "propose", str(uuid4())), USAGE, "missing: options (in --data)"),
        (("ticket", "cancel", str(uuid4()), "--reason", "x", "--key", "1"), FAILED, "INVALID"),
    ],
)
def test_how_it_ends(dispatch: Dispatch, words: tuple[str, ...], code: int, said: str) -> None:
    ended = dispatch(*words)

    assert (ended.code, said in ended.err) == (code, True), ended


def test_no_gateway_is_a_failure_that_says_how_to_retry(
    dispatch: Dispatch, create: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DISPATCH_API_URL", "http://127.0.0.1:9")
    ended = dispatch(*create)

    assert ended.code == FAILED
    assert "repeat with --key" in ended.err
