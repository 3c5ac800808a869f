"""What verified claims must say, and whom they then name (contract 4.3, steps 4 to 11)."""

from types import EllipsisType
from typing import TypeAlias
from uuid import UUID

import pytest
from pydantic import JsonValue

from api.identity.identity import Identity
from api.identity.token_claims import ClaimsReader
from api.wire.errors import ApiError
from policy.codes import Code
from policy.model import ActorType, Role
from policy.rules.bundle import load_bundle
from runtime.settings import Settings

Changes: TypeAlias = dict[str, JsonValue | EllipsisType]

NOW = 1_800_000_000.0
ID = "D3F77DB0-5d1a-4f9c-b0ea-111111111111"
OTHER_ID = "7f6a2b2c-8f1e-4f2b-b3a1-222222222222"
ALIASES = load_bundle().role_aliases


def accept(changes: Changes, **settings: object) -> Identity:
    """Judge good claims, changed; a change to `...` removes the claim."""
    merged: Changes = {"sub": "ada", "role": "dispatcher", "exp": NOW + 60, **changes}
    claims = {name: value for name, value in merged.items() if not isinstance(value, EllipsisType)}
    reader = ClaimsReader(Settings.model_validate(settings), ALIASES)
    reader.lifetime(claims).check(NOW)
    return reader.identity(claims)


def refusal(changes: Changes, **settings: object) -> ApiError:
    with pytest.raises(ApiError) as caught:
        accept(changes, **settings)
    return caught.value


@pytest.mark.parametrize(
    ("claims", "dimension"),
    [
        ({"exp": ...}, None),
        ({"exp": None}, None),
        ({"exp": str(NOW + 60)}, None),
        ({"exp": True}, None),
        ({"exp": NOW}, None),
        ({"exp": NOW - 1}, None),
        ({"nbf": "0"}, None),
        ({"nbf": False}, None),
        ({"nbf": None}, None),
        ({"nbf": NOW + 0.5}, None),
        ({"sub": ...}, None),
        ({"sub": "  "}, None),
        ({"sub": 7}, None),
        ({"sub": "x" * 201}, None),
        ({"sub": "a\0b"}, None),
        ({"sub": "a\x1fdispatcher"}, None),
        ({"sub": "a\x1b[2J"}, None),
        ({"sub": "a\x85b"}, None),
        ({"sub": "a\u2028b"}, None),
        ({"role": ...}, "role"),
        ({"role": None}, "role"),
        ({"role": ""}, "role"),
        ({"role": "root"}, "role"),
        ({"role": ["qa"]}, "role"),
        ({"role": "qa\0"}, "role"),
        ({"actor_type": "ROBOT"}, None),
        ({"actor_type": 1}, None),
        ({"actorType": "ROBOT"}, None),
        ({"tenant_id": ""}, None),
        ({"tenant_id": "Acme"}, None),
        ({"tenant_id": "-acme"}, None),
        ({"tenant_id": "acme\n"}, None),
        ({"tenant_id": "a" * 64}, None),
        ({"tenant_id": 1}, None),
        ({"technician_id": "me"}, None),
        ({"technician_id": f"{{{ID}}}"}, None),
        ({"technician_id": ID.replace("-", "")}, None),
    ],
)
def test_a_claim_that_is_not_acceptable_is_refused(claims: Changes, dimension: str | None) -> None:
    error = refusal(claims)
    assert (error.code, error.dimension) == (Code.INVALID_AUTH_CLAIMS, dimension)


@pytest.mark.parametrize("exp", [NOW + 0.25, NOW + 1, 1.9e9, 1e300])
def test_exp_may_be_any_number_in_the_future(exp: float) -> None:
    assert accept({"exp": exp}).actor_id == "ada"


def test_leeway_counts_at_both_ends() -> None:
    late: Changes = {"exp": NOW - 4}
    early: Changes = {"nbf": NOW + 5}
    for claims in (late, early):
        assert accept(claims, auth_jwt_leeway_seconds=5)
        assert refusal(claims, auth_jwt_leeway_seconds=3).code is Code.INVALID_AUTH_CLAIMS


@pytest.mark.parametrize(
    ("aud", "accepted"),
    [
        ("dispatch", True),
        (["other", "dispatch"], True),
        ("other", False),
        ("dispatch ", False),
        (["other"], False),
        ([], False),
        (..., False),
        (None, False),
        ({"dispatch": 1}, False),
        ([["dispatch"]], False),
    ],
)
def test_the_audience_must_be_or_contain_ours(
    aud: JsonValue | EllipsisType, *, accepted: bool
) -> None:
    if accepted:
        assert accept({"aud": aud}, auth_jwt_audience="dispatch")
    else:
        error = refusal({"aud": aud}, auth_jwt_audience="dispatch")
        assert (error.code, error.dimension) == (Code.INVALID_AUTH_CLAIMS, None)


@pytest.mark.parametrize("iss", [..., None, "", "https://idp/", ["https://idp"]])
def test_the_issuer_must_be_ours(iss: JsonValue | EllipsisType) -> None:
    error = refusal({"iss": iss}, auth_jwt_issuer="https://idp")
    assert (error.code, error.dimension) == (Code.INVALID_AUTH_CLAIMS, None)
    assert accept({"iss": "https://idp"}, auth_jwt_issuer="https://idp")


@pytest.mark.parametrize(
    ("word", "role"),
    [
        *((role.value, role) for role in Role),
        ("TECH", Role.TECHNICIAN),
        ("dispatcher_admin", Role.DISPATCHER),
        ("Assistant", Role.AGENT),
        (" bot ", Role.AGENT),
    ],
)
def test_roles_and_aliases_are_read_trimmed_in_any_case(word: str, role: Role) -> None:
    assert accept({"role": word}).actor_role is role


@pytest.mark.parametrize(
    ("claims", "expected"),
    [
        ({}, ActorType.AGENT),
        ({"actor_type": None, "actorType": "service"}, ActorType.SERVICE),
        ({"actor_type": "Human", "actorType": "SYSTEM"}, ActorType.HUMAN),
    ],
)
def test_the_actor_type_has_two_names_and_a_default(claims: Changes, expected: ActorType) -> None:
    assert accept(claims).actor_type is expected


def test_tenant_and_technician_are_optional_and_null_counts_as_missing() -> None:
    plain = accept({"tenant_id": None, "technician_id": None}).actor
    assert (plain.tenant_id, plain.technician_id) == ("default", None)
    bound = accept({"tenant_id": "a" * 63, "technician_id": ID}).actor
    assert (bound.tenant_id, bound.technician_id) == ("a" * 63, UUID(ID))


A, B = frozenset({UUID(ID)}), frozenset({UUID(ID), UUID(OTHER_ID)})
NOTHING: frozenset[UUID] = frozenset()


@pytest.mark.parametrize(
    ("claims", "accounts", "sites"),
    [
        ({}, NOTHING, NOTHING),
        ({"scope": None, "account_ids": None}, NOTHING, NOTHING),
        ({"account_ids": "", "site_ids": []}, NOTHING, NOTHING),
        ({"account_ids": "*", "site_ids": ["*"]}, None, None),
        ({"account_ids": f" {ID} , {OTHER_ID},", "site_ids": [ID]}, B, A),
        ({"account_id": ID, "site_id": "*"}, A, None),
        ({"account_id": OTHER_ID, "account_ids": [ID]}, A, NOTHING),
        ({"scope": {"account_ids": [ID], "site_ids": "*"}, "account_ids": "*"}, A, None),
        ({"scope": {"account_ids": []}, "account_ids": "*", "site_id": ID}, NOTHING, A),
        ({"scope": {}, "account_ids": [ID, ID.lower()], "site_ids": [ID, "*"]}, A, None),
    ],
)
def test_scope_lists_are_found_in_order(
    claims: Changes, accounts: frozenset[UUID] | None, sites: frozenset[UUID] | None
) -> None:
    actor = accept(claims).actor
    assert (actor.account_ids, actor.site_ids) == (accounts, sites)


@pytest.mark.parametrize("text", ["openid profile", "openid", "", "*", ID])
def test_a_scope_that_is_a_text_is_ignored(text: str) -> None:
    actor = accept({"scope": text, "account_ids": [ID], "site_id": "*"}).actor
    assert (actor.account_ids, actor.site_ids) == (A, None)
    nowhere = accept({"scope": text}).actor
    assert (nowhere.account_ids, nowhere.site_ids) == (NOTHING, NOTHING)


@pytest.mark.parametrize(
    "claims",
    [
        {"scope": True},
        {"scope": 5},
        {"scope": []},
        {"scope": {"account_ids": "mine"}},
        {"account_ids": [1]},
        {"account_ids": [""]},
        {"account_ids": {"a": ID}},
        {"account_ids": 5},
        {"account_ids": f"{ID};{OTHER_ID}"},
        {"site_ids": [ID, None]},
        {"site_ids": ["*", "x"]},
        {"site_id": "x"},
    ],
)
def test_an_unreadable_scope_is_refused_only_after_the_role_is_known(claims: Changes) -> None:
    identity = accept(claims)
    assert identity.actor_role is Role.DISPATCHER
    with pytest.raises(ApiError) as caught:
        _ = identity.actor
    assert (caught.value.code, caught.value.dimension) == (Code.INVALID_AUTH_CLAIMS, None)
