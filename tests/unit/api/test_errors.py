"""The envelope of every error (contract 8)."""

import json

import pytest

from api.command.outcomes import Answered
from api.command.pipeline import answer_of
from api.wire.errors import ApiError, UnknownRoleError
from policy.codes import CODES, Code
from policy.envelope import error_body


def test_every_code_has_a_status_and_a_message() -> None:
    assert set(CODES) == set(Code)
    assert all(400 <= spec.status <= 503 and spec.message for spec in CODES.values())


def test_the_keys_stand_in_the_contracts_order() -> None:
    error = ApiError(Code.FORBIDDEN, details={"actor_role": "qa", "allowed_roles": ["agent"]})
    body = error.body(request_id="r", correlation_id="c")
    assert json.dumps(body) == json.dumps(
        {
            "error": {
                "code": "FORBIDDEN",
                "message": CODES[Code.FORBIDDEN].message,
                "request_id": "r",
                "actor_role": "qa",
                "allowed_roles": ["agent"],
                "correlation_id": "c",
                "policy_error": {"dimension": "role"},
            }
        }
    )


def test_details_never_overwrite_the_envelope() -> None:
    stolen = {"code": 1, "message": 1, "request_id": 1, "correlation_id": 1, "policy_error": 1}
    error = ApiError(Code.TICKET_NOT_FOUND, message="gone", details=stolen)
    assert error.body(request_id=None, correlation_id="c") == {
        "error": {
            "code": "TICKET_NOT_FOUND",
            "message": "gone",
            "request_id": None,
            "correlation_id": "c",
        }
    }


def test_the_unmatched_route_answers_three_keys() -> None:
    assert list(error_body(Code.NOT_FOUND)["error"]) == ["code", "message", "request_id"]  # type: ignore[call-overload]  # a dict


def test_an_incomplete_closeout_names_the_requirement_twice() -> None:
    error = ApiError(
        Code.CLOSEOUT_REQUIREMENTS_INCOMPLETE, details={"requirement_code": "MISSING_EVIDENCE"}
    )
    rendered = json.loads(json.dumps(error.body(request_id=None, correlation_id="c")))["error"]
    assert rendered["requirement_code"] == "MISSING_EVIDENCE"
    assert rendered["policy_error"] == {
        "dimension": "evidence",
        "requirement_code": "MISSING_EVIDENCE",
    }


@pytest.mark.parametrize(
    ("code", "headers"),
    [
        (Code.AUTH_REQUIRED, {"WWW-Authenticate": "Bearer"}),
        (Code.ENGINE_UNAVAILABLE, {"Retry-After": "5"}),
        (Code.FORBIDDEN, {}),
    ],
)
def test_the_status_brings_its_headers(code: Code, headers: dict[str, str]) -> None:
    assert ApiError(code).headers == headers


def test_only_a_role_problem_of_a_claim_has_a_dimension() -> None:
    assert UnknownRoleError().dimension == "role"
    assert ApiError(Code.INVALID_AUTH_CLAIMS).dimension is None


def test_an_outcome_that_is_a_503_tells_when_to_come_back() -> None:
    outcome = Answered(503, "{}", Code.OBJECT_STORE_UNAVAILABLE)
    answer = answer_of(outcome, {"Preference-Applied": "wait=5"})
    assert answer.headers == {"Preference-Applied": "wait=5", "Retry-After": "5"}
