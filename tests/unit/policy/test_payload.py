"""Payloads: whatever a body holds, its refusal stays small and names what is wrong."""

from collections.abc import Callable
from typing import Any

import pytest

from policy.codes import Code
from policy.command.effects import Denial
from policy.command.payload import MOST_FAULTS, parse_payload
from policy.command.registry import command_tool
from policy.rules.bundle import load_bundle
from policy.sensitive import MOST_SENSITIVE
from policy.values import REFERENCE_LIMIT
from tests.unit.payloads import HOLD, PAYLOADS

BUNDLE = load_bundle()
COMPLETION: dict[str, Any] = {"checklist_status": {}}


def refusal(tool: str, body: dict[str, Any]) -> Denial:
    denial = parse_payload(BUNDLE, tool, body)
    assert isinstance(denial, Denial)
    assert denial.code is Code.INVALID_REQUEST
    return denial


def test_a_refusal_names_the_first_faults_and_counts_them_all() -> None:
    wrong = [0] * REFERENCE_LIMIT
    details = refusal("tech.complete", {**COMPLETION, "evidence_refs": wrong}).details

    assert details["validation_error_count"] == REFERENCE_LIMIT
    assert [each["path"] for each in details["validation_errors"]] == [
        f"/evidence_refs/{index}" for index in range(MOST_FAULTS)
    ]


def test_few_faults_are_all_named() -> None:
    details = refusal("ticket.triage", {}).details

    assert details["validation_error_count"] == len(details["validation_errors"])


@pytest.mark.parametrize("tool", sorted(BUNDLE.commands))
def test_every_array_that_a_tool_takes_is_limited_before_its_elements_are_judged(tool: str) -> None:
    properties = command_tool(tool).payload.model_json_schema()["properties"]
    for name, schema in properties.items():
        if schema.get("type") != "array":
            continue
        assert schema["maxItems"] <= REFERENCE_LIMIT
        details = refusal(tool, {**PAYLOADS[tool], name: [None] * 190_000}).details
        assert details["validation_error_count"] == 1
        assert details["validation_errors"][0]["path"] == f"/{name}"


@pytest.mark.parametrize(
    ("tool", "body"),
    [
        ("tech.complete", COMPLETION),
        ("closeout.candidate", COMPLETION),
        ("tech.request_change", {"approval_type": "PROPOSAL", "reason": "x"}),
        ("closeout.evidence_exception", {"exception_reason": "x"}),
    ],
)
def test_a_list_of_references_is_limited(tool: str, body: dict[str, Any]) -> None:
    most = {**body, "evidence_refs": ["a"] * REFERENCE_LIMIT}
    assert not isinstance(parse_payload(BUNDLE, tool, most), Denial)

    details = refusal(tool, {**body, "evidence_refs": [0] * 190_000}).details
    assert (details["validation_error_count"], len(details["validation_errors"])) == (1, 1)


@pytest.mark.parametrize(
    "values",
    [
        lambda count: [{f"Phone{number}": number} for number in range(count)],
        lambda count: {"phones": ["1"] * count},
        lambda count: {"phones": [["1"] * (count - 1)]},
    ],
)
def test_values_that_would_be_redacted_are_limited(values: Callable[[int], object]) -> None:
    def body(count: int) -> dict[str, Any]:
        return {"customer_confirmation_id": str(HOLD), "extra": values(count)}

    tool = "schedule.release"
    assert not isinstance(parse_payload(BUNDLE, tool, body(MOST_SENSITIVE)), Denial)
    (fault,) = refusal(tool, body(MOST_SENSITIVE + 1)).details["validation_errors"]
    assert fault["path"] == ""
