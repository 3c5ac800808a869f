"""The closeout gate: every requirement code, in the contract's order."""

from typing import Any

import pytest

from policy.closeout.gate import SIGNATURE_KEY, Attempt, GateResult, run_gate, stored_attempt
from policy.evidence.model import Evidence, LookUp
from policy.evidence.references import look_up_failure, pinned_versions
from policy.model import State
from policy.rules.bundle import Bundle
from policy.ticket.facts import CompletionContext
from tests.unit.facts_builder import bundle, evidence, facts, ticket
from tests.unit.payloads import CHECKLIST, EVIDENCE_KEYS

PHOTO = "photo_after_latched_alignment"
WHOLE = tuple(evidence(key) for key in EVIDENCE_KEYS)
UNSIGNED = tuple(row for row in WHOLE if row.evidence_key != SIGNATURE_KEY)
DONE = Attempt(checklist=CHECKLIST)


def gate(
    attempt: Attempt = DONE,
    incident_type: str = "DOOR_WONT_LATCH",
    **known: Any,  # noqa: ANN401  facts
) -> GateResult:
    job = ticket(State.IN_PROGRESS, incident_type=incident_type)
    return run_gate(bundle(), facts(job, **{"evidence": WHOLE, **known}), attempt)


def without(key: str) -> tuple[Evidence, ...]:
    return tuple(row for row in WHOLE if row.evidence_key != key)


def test_a_proven_completion_is_ready() -> None:
    assert gate().shape() == {
        "ready": True,
        "code": "READY",
        "incident_type": "DOOR_WONT_LATCH",
        "template_version": "1.0.0",
        "missing_evidence_keys": [],
        "missing_checklist_keys": [],
        "excepted_evidence_keys": [],
    }


BROKEN = (evidence("photo_before_door_edge_and_strike", uri="nowhere"),)
LADDER: tuple[tuple[str, dict[str, Any]], ...] = (
    ("TEMPLATE_NOT_FOUND", {"incident_type": " ", "attempt": Attempt(missing=True)}),
    (
        "MISSING_COMPLETION_CONTEXT",
        {"incident_type": "UNKNOWN", "attempt": Attempt(missing=True), "evidence": BROKEN},
    ),
    (
        "MISSING_SIGNATURE_CONFIRMATION",
        {"incident_type": "UNKNOWN", "attempt": Attempt(), "evidence": BROKEN},
    ),
    (
        "INVALID_EVIDENCE_REFERENCE",
        {
            "incident_type": "UNKNOWN",
            "attempt": Attempt(no_signature_reason="Nobody"),
            "evidence": BROKEN,
        },
    ),
    ("TEMPLATE_NOT_FOUND", {"incident_type": "UNKNOWN", "attempt": Attempt()}),
    ("TEMPLATE_NOT_FOUND", {"incident_type": "DOOR_WONT_LATCH_V2", "attempt": Attempt()}),
    ("MISSING_REQUIREMENTS", {"attempt": Attempt(), "evidence": without(PHOTO)}),
    ("MISSING_EVIDENCE", {"evidence": without(PHOTO)}),
    ("MISSING_CHECKLIST", {"attempt": Attempt()}),
    ("READY", {"incident_type": " door_wont_latch "}),
)


@pytest.mark.parametrize(("code", "known"), LADDER)
def test_the_first_failing_check_names_the_code(code: str, known: dict[str, Any]) -> None:
    assert gate(**known).code == code


@pytest.mark.parametrize(("code", "known"), LADDER[:3])
def test_no_template_version_is_given_before_the_template_was_reached(
    code: str, known: dict[str, Any]
) -> None:
    result = gate(**known)
    assert (result.code, result.template_version) == (code, None)


def test_a_refusal_always_has_every_field() -> None:
    refusal = gate(Attempt(), evidence=without(PHOTO)).denial()
    assert refusal.details == {
        "requirement_code": "MISSING_REQUIREMENTS",
        "incident_type": "DOOR_WONT_LATCH",
        "template_version": "1.0.0",
        "missing_evidence_keys": [PHOTO],
        "missing_checklist_keys": sorted(CHECKLIST),
        "invalid_evidence_refs": [],
        "excepted_evidence_keys": [],
        "outstanding": {
            "requirement_codes": ["MISSING_REQUIREMENTS"],
            "evidence_keys": [PHOTO],
            "checklist_keys": sorted(CHECKLIST),
            "invalid_evidence_refs": [],
            "near": [],
        },
    }


def test_a_refusal_names_everything_that_is_missing_whichever_check_stopped_first() -> None:
    refusal = gate(Attempt(missing=True), evidence=()).denial().details
    assert refusal["requirement_code"] == "MISSING_COMPLETION_CONTEXT"
    assert (refusal["missing_evidence_keys"], refusal["missing_checklist_keys"]) == ([], [])
    outstanding = refusal["outstanding"]
    assert outstanding["requirement_codes"] == [
        *("MISSING_COMPLETION_CONTEXT", "MISSING_SIGNATURE_CONFIRMATION", "MISSING_REQUIREMENTS"),
    ]
    assert {PHOTO, SIGNATURE_KEY} <= set(outstanding["evidence_keys"])
    assert outstanding["checklist_keys"] == sorted(CHECKLIST)


def test_a_missing_signature_lists_exactly_its_own_key() -> None:
    result = gate(evidence=())
    assert result.details()["missing_evidence_keys"] == [SIGNATURE_KEY]


@pytest.mark.parametrize(
    "known",
    [
        {"evidence": WHOLE},
        {"evidence": (*UNSIGNED, evidence(kind="signature"))},
        {"evidence": UNSIGNED, "attempt": Attempt(checklist=CHECKLIST, no_signature_reason=" x ")},
        {"evidence": UNSIGNED, "excepted_keys": frozenset({SIGNATURE_KEY})},
    ],
)
def test_four_things_count_as_a_signature(known: dict[str, Any]) -> None:
    assert gate(**known).ready


def test_a_blank_reason_is_no_signature() -> None:
    blank = Attempt(checklist=CHECKLIST, no_signature_reason="  ")
    assert gate(blank, evidence=UNSIGNED).code == "MISSING_SIGNATURE_CONFIRMATION"


def test_only_keys_that_an_exception_alone_satisfies_are_called_excepted() -> None:
    granted = frozenset({PHOTO, SIGNATURE_KEY, "no_such_key"})
    assert gate(excepted_keys=granted).excepted_evidence_keys == ()
    result = gate(evidence=without(PHOTO), excepted_keys=granted)
    assert (result.code, result.excepted_evidence_keys) == ("READY", (PHOTO,))


@pytest.mark.parametrize("value", [1, "true", None, [True], {}])
def test_a_checklist_key_counts_only_when_it_is_exactly_true(value: object) -> None:
    attempt = Attempt(checklist={**CHECKLIST, "work_performed": value})
    assert gate(attempt).missing_checklist_keys == ("work_performed",)


@pytest.mark.parametrize(
    ("uri", "good"),
    [
        ("s3://evidence/a", True),
        ("minio://evidence/a/b", True),
        ("S3://evidence/a", True),
        ("s3://evidence", False),
        ("s3://evidence/", False),
        ("s3:///a", False),
        ("/a", False),
        ("https://evidence/a", False),
        ("http://[bad/a", False),
        ("nowhere", False),
    ],
)
def test_every_uri_must_resolve(uri: str, good: bool) -> None:  # noqa: FBT001  a column
    result = gate(evidence=(*WHOLE, evidence(uri=uri)))
    assert result.invalid_evidence_refs == (() if good else (uri,))


def test_listed_references_are_judged_instead_of_the_other_uris() -> None:
    stray = evidence(uri="nowhere", id=ticket().id)
    rows = (*WHOLE, stray)
    listed = Attempt(checklist=CHECKLIST, evidence_refs=(str(WHOLE[0].id).upper(), WHOLE[1].uri))
    assert gate(listed, evidence=rows).ready
    wrong = ("unknown", str(ticket().account_id), str(stray.id), "nowhere", "unknown")
    refused = gate(Attempt(checklist=CHECKLIST, evidence_refs=wrong), evidence=rows)
    assert refused.code == "INVALID_EVIDENCE_REFERENCE"
    assert refused.invalid_evidence_refs == tuple(sorted(set(wrong)))


def test_a_row_with_a_required_key_must_resolve_even_if_others_are_listed() -> None:
    rows = (*without(PHOTO), evidence(PHOTO, uri="nowhere"))
    listed = Attempt(checklist=CHECKLIST, evidence_refs=(rows[0].uri,))
    assert gate(listed, evidence=rows).invalid_evidence_refs == ("nowhere",)


def test_with_look_ups_every_uri_must_be_found() -> None:
    found = {row.uri: LookUp() for row in WHOLE}
    assert gate(look_ups=found).ready
    lost = WHOLE[2].uri
    gone = found | {lost: LookUp(failure="UNREACHABLE_URI")}
    assert gate(look_ups=gone).invalid_evidence_refs == (lost,)
    del found[lost]
    assert gate(look_ups=found).invalid_evidence_refs == (lost,)


def strict() -> Bundle:
    rules = bundle().evidence.model_copy(update={"require_checksum": True})
    return bundle().model_copy(update={"evidence": rules})


@pytest.mark.parametrize(
    ("checksum", "found", "failure"),
    [
        (None, LookUp(), None),
        ("AB" * 32, LookUp(sha256="ab" * 32), None),
        ("ab" * 32, LookUp(sha256="cd" * 32, etag=f'"{"ab" * 32}"'), "CHECKSUM_MISMATCH"),
        ("ab" * 32, LookUp(etag=f'W/"{"AB" * 32}"'), None),
        ("abc", LookUp(etag='"ABC"', sha256="ab" * 32), None),
        ("XrY7u+Ae7tCTyyK7j1rNww==", LookUp(content_md5="XrY7u+Ae7tCTyyK7j1rNww=="), None),
        ("abc", LookUp(), "CHECKSUM_MISMATCH"),
        ("abc", LookUp(failure="HEAD_TIMEOUT"), "HEAD_TIMEOUT"),
    ],
)
def test_checksums_are_compared_with_what_the_store_knows(
    checksum: str | None, found: LookUp, failure: str | None
) -> None:
    row = evidence(checksum=checksum)
    assert look_up_failure(strict().evidence, row, found) == failure


def test_checksums_are_not_compared_where_that_is_off() -> None:
    assert look_up_failure(bundle().evidence, evidence(checksum="abc"), LookUp()) is None


def test_the_newest_context_is_judged_as_it_was_sent() -> None:
    request = {
        "checklist_status": {"work_performed": True},
        "no_signature_reason": " Nobody there ",
        "evidence_refs": [" s3://evidence/a "],
    }
    attempt = stored_attempt(CompletionContext(tool_name="tech.complete", request=request))
    assert attempt.evidence_refs == ("s3://evidence/a",)
    assert attempt.no_signature_reason == "Nobody there"
    assert stored_attempt(None).missing
    assert not stored_attempt(None, needed=False).missing


def test_a_manual_bypass_claims_nothing_even_if_its_request_says_so() -> None:
    request = {
        "bypass_rationale": "x",
        "checklist_status": CHECKLIST,
        "no_signature_reason": "Nobody there",
        "evidence_refs": ["s3://evidence/a"],
    }
    bypass = CompletionContext(tool_name="dispatch.manual_bypass", request=request)
    assert stored_attempt(bypass) == Attempt()


def test_a_uri_is_looked_up_in_its_pinned_version_whichever_row_names_it() -> None:
    uri = "s3://evidence/a"
    loose, pinned = evidence(uri=uri), evidence(uri=uri, object_version_id="7")
    other = evidence(uri="s3://evidence/b")
    expected = {uri: "7", other.uri: None}
    assert pinned_versions((loose, pinned, other)) == expected
    assert pinned_versions((pinned, loose, other)) == expected
