"""One JSON line per record, everywhere, without secrets, whatever fails (contract 15.1, 15.5)."""

import ast
import json
import logging
import re
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from runtime.telemetry import logging as logging_module
from runtime.telemetry.logging import OWN_FIELDS, LineWriter, configure_logging

PACKAGES = ("activities", "api", "automation", "records", "relay", "runtime", "worker", "workflows")
LOGS = re.compile(r"(^|[._])log(ger)?\.[a-z]+$|get_logger\(.*\)\.[a-z]+$")


def lines(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


def test_a_record_opens_with_level_service_time_and_event(
    capfdbinary: pytest.CaptureFixture[bytes],
) -> None:
    configure_logging("dispatch-api").info("command.committed", ticket_id="t", replay=False)
    [record] = lines(capfdbinary.readouterr().out.decode())
    assert list(record) == ["level", "service", "ts", "event", "ticket_id", "replay"]
    assert (record["level"], record["service"]) == ("info", "dispatch-api")
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", record["ts"])


@pytest.mark.parametrize("name", ["level", "service", "ts"])
def test_what_a_caller_passes_never_overwrites_what_a_record_says_of_itself(
    capfdbinary: pytest.CaptureFixture[bytes], name: str
) -> None:
    configure_logging("dispatch-worker").warning("ticket.escalated", kind="sla", **{name: 1})
    [record] = lines(capfdbinary.readouterr().out.decode())
    assert (record["level"], record["service"]) == ("warning", "dispatch-worker")
    assert (record["event"], record[f"given_{name}"]) == ("ticket.escalated", 1)
    assert re.match(r"\d{4}-", record["ts"])


def test_no_log_call_names_a_field_that_a_record_has_of_its_own() -> None:
    root = Path(logging_module.__file__).parents[2]
    calls = (
        (path.relative_to(root), node)
        for package in PACKAGES
        for path in (root / package).rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.Call) and LOGS.search(ast.unparse(node.func))
    )
    seen = [(path, each.arg) for path, call in calls for each in call.keywords]
    assert len(seen) > len(PACKAGES)
    assert [(path, name) for path, name in seen if name in OWN_FIELDS] == []


def test_tokens_and_bodies_are_kept_out(capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    logger = configure_logging("dispatch-api")
    logger.error("oops", token="hunter2", body={"a": "hunter2"}, key=SecretStr("hunter2"))
    assert b"hunter2" not in capfdbinary.readouterr().out


def test_libraries_and_exceptions_stay_on_one_line(
    capfdbinary: pytest.CaptureFixture[bytes],
) -> None:
    configure_logging("dispatch-worker")
    try:
        int("bad\nnews")
    except ValueError:
        logging.getLogger("library").exception("it failed: %d", 7)
    [record] = lines(capfdbinary.readouterr().out.decode())
    assert (record["level"], record["event"]) == ("error", "it failed: 7")
    assert record["logger"] == "library"
    assert "bad\\nnews" in record["exception"]


def test_what_orjson_cannot_hold_is_logged_all_the_same(
    capfdbinary: pytest.CaptureFixture[bytes],
) -> None:
    configure_logging("dispatch-api").warning("odd", text="\ud800", number=2**70, path=Path("x"))
    [record] = lines(capfdbinary.readouterr().out.decode())
    assert (record["level"], record["number"], record["path"]) == ("warning", 2**70, "x")


def test_the_sink_gets_every_record_and_its_folders_are_made(tmp_path: Path) -> None:
    sink = tmp_path / "deep" / "down" / "log.ndjson"
    logger = configure_logging("dispatch-api", sink=sink)
    logger.info("one")
    logger.info("two")
    assert [record["event"] for record in lines(sink.read_text())] == ["one", "two"]


def test_a_failing_sink_or_stream_fails_nothing(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    configure_logging("dispatch-api", sink=tmp_path / "file" / "log.ndjson").info("lost")
    closed = BytesIO()
    closed.close()
    LineWriter(closed, None).msg(b"lost\n")
