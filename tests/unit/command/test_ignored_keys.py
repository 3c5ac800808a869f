"""Over HTTP, where further keys are accepted, the answer names those that nobody read."""

from types import SimpleNamespace
from typing import Any, cast

import pytest

from api.command.call import Call
from api.command.ignored import HEADER, naming_ignored
from api.wire.answers import Answer


def named(tool: str, body: dict[str, Any]) -> str | None:
    call = cast("Call", SimpleNamespace(tool=tool, body=body))
    return naming_ignored(Answer(200, b"{}"), call).headers.get(HEADER)


@pytest.mark.parametrize(
    ("tool", "body", "said"),
    [
        ("ticket.create", {"summary": "x", "priority": "EMERGENCY"}, "/priority"),
        ("ticket.create", {"summary": "x"}, None),
        ("ticket.close", {"ü\r\n": 1}, "/%C3%BC%0D%0A"),
        ("ticket.close", {"a,b": 1, "c": 2}, "/a%2Cb, /c"),
        ("schedule.propose", {"options": [{"start": "a", "zone": "b"}]}, "/options/0/zone"),
        ("closeout.add_evidence", {"kind": "PHOTO", "metadata": {"any": {"thing": 1}}}, None),
    ],
)
def test_an_ignored_key_is_named_at_any_depth_and_cannot_break_the_header(
    tool: str, body: dict[str, Any], said: str | None
) -> None:
    assert named(tool, body) == said


def test_the_header_does_not_grow_with_what_was_sent() -> None:
    said = named("ticket.close", {f"{number}{'😀' * 1000}": 1 for number in range(1000)})
    assert said is not None
    assert said.isascii()
    assert len(said) < 5_000
    assert said.endswith("...")
