"""Counters and metrics: what is kept, for how long, and in which form it is shown."""

import pytest

from api.ops.metrics import JSON, OPENMETRICS, TEXT, exposition, preferred
from api.wire.counters import MAX_OVERRIDE_CODES, Commit, Counters
from policy.codes import Code


def commit(tool: str = "ticket.triage", *, allowed: bool = True, **said: str | None) -> Commit:
    row = {
        "tool_name": tool,
        "code": None if allowed else "FORBIDDEN",
        "counted": {"transitions": [[None, "NEW"], ["NEW", "TRIAGED"]], **said},
    }
    return Commit.of(row)


@pytest.mark.parametrize(
    ("accept", "media_type"),
    [
        ("", JSON),
        ("*/*", JSON),
        ("application/json", JSON),
        ("text/plain", TEXT),
        ("text/*", TEXT),
        ("text/plain;q=0.5, application/json;q=0.4", TEXT),
        ("text/plain;q=0.4, application/json;q=0.5", JSON),
        ("text/plain, application/*", JSON),
        ("TEXT/PLAIN ; Q=0.5, */*;q=0.1", TEXT),
        (
            "application/openmetrics-text;version=1.0.0;q=0.5,text/plain;q=0.3,*/*;q=0.1",
            OPENMETRICS,
        ),
        ("text/html", JSON),
        ("text/plain;q=nan, application/json;q=0.1", JSON),
        (",;q", JSON),
    ],
)
def test_the_text_is_shown_only_where_it_ranks_above_json(accept: str, media_type: str) -> None:
    assert preferred(accept) == media_type


def test_a_denied_command_made_no_transitions() -> None:
    counters = Counters()
    counters.committed(commit(allowed=False))
    counters.committed(commit())
    assert [tuple(row.values()) for row in counters.snapshot()["transitions_total"]] == [
        (None, "NEW", 1),
        ("NEW", "TRIAGED", 1),
    ]


def test_override_codes_are_bounded() -> None:
    counters = Counters()
    for number in [*range(MAX_OVERRIDE_CODES + 5), 0]:
        counters.committed(commit("ticket.force_close", override_code=f"CODE-{number:03}"))
    snapshot = counters.snapshot()
    by_code = {row["code"]: row["count"] for row in snapshot["dispatch_override_close_by_code"]}

    assert snapshot["dispatch_override_close_total"] == MAX_OVERRIDE_CODES + 6
    assert (by_code["CODE-000"], by_code["other"]) == (2, 5)
    assert len(by_code) == MAX_OVERRIDE_CODES + 1


def test_methods_that_nobody_knows_share_one_label() -> None:
    counters = Counters()
    for method in ("BREW", "PROPFIND", "GET"):
        counters.request(method, "UNMATCHED", 404)
    assert [(row["method"], row["count"]) for row in counters.snapshot()["requests_total"]] == [
        ("GET", 1),
        ("OTHER", 2),
    ]


def test_a_signal_counts_its_window_or_everything() -> None:
    now = 1000.0
    windowed, whole = Counters(1, clock=lambda: now), Counters(clock=lambda: now)
    for second in (0, 30, 59, 61):
        now = 1000.0 + second
        for counters in (windowed, whole):
            counters.error(Code.FORBIDDEN)
    assert windowed.signal(Code.FORBIDDEN, Code.AUTH_REQUIRED) == 3
    assert whole.signal(Code.FORBIDDEN, Code.AUTH_REQUIRED) == 4
    now = 2000.0
    assert windowed.signal(Code.FORBIDDEN) == 0
    assert whole.signal(Code.FORBIDDEN) == 4


def test_prometheus_names_have_prefix_and_suffix_once() -> None:
    counters = Counters()
    counters.request("GET", "/metrics", 200)
    counters.committed(commit())
    counters.committed(commit("ticket.force_close", override_code="CODE"))
    text = exposition(counters)[0].decode()

    assert 'dispatch_requests_total{endpoint="/metrics",method="GET",status="200"} 1.0' in text
    assert 'dispatch_transitions_total{from_state="NULL",to_state="NEW"} 2.0' in text
    assert 'dispatch_override_close_by_code_total{code="CODE"} 1.0' in text
    assert "dispatch_override_close_total 1.0" in text
    assert exposition(counters, OPENMETRICS)[0].endswith(b"# EOF\n")
