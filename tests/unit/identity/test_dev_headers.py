"""Identity by headers, where the mode allows it (contract 4.1, 4.4)."""

from uuid import UUID

import pytest
from starlette.datastructures import Headers

from api.identity.authenticator import Authenticator
from api.wire.errors import ApiError
from policy.codes import Code
from policy.model import Actor, ActorType, Role
from policy.rules.bundle import load_bundle
from runtime.settings import Settings

SECRET = "a secret of well over thirty-two bytes for tests"
ID = "d3f77db0-5d1a-4f9c-b0ea-111111111111"
OTHER_ID = "7F6A2B2C-8F1E-4F2B-B3A1-222222222222"
GOOD = {"x-actor-id": " ada ", "x-actor-role": " Dispatcher_Admin "}


async def authenticate(headers: dict[str, str], **settings: object) -> Actor:
    chosen = Settings.model_validate({"mode": "test", **settings})
    gateway = Authenticator(chosen, load_bundle().role_aliases)
    return (await gateway.authenticate(Headers(headers))).actor


async def refusal(headers: dict[str, str], **settings: object) -> ApiError:
    with pytest.raises(ApiError) as caught:
        await authenticate(headers, **settings)
    return caught.value


@pytest.mark.parametrize(
    ("mode", "switch", "believed"),
    [
        ("production", None, False),
        ("production", "true", False),
        ("development", None, True),
        ("development", "off", False),
        ("local", None, True),
        ("local", "0", False),
        ("test", "yes", True),
        ("test", "DISABLED", False),
        ("neutral", None, False),
        ("neutral", "no", False),
        ("neutral", "Enabled", True),
        ("staging", None, False),
    ],
)
async def test_the_mode_and_the_switch_decide(
    mode: str, switch: str | None, *, believed: bool
) -> None:
    settings = {"mode": mode, "auth_allow_dev_headers": switch, "auth_jwt_secret": SECRET}
    if believed:
        assert (await authenticate(GOOD, **settings)).actor_id == "ada"
    else:
        assert (await refusal(GOOD, **settings)).code is Code.AUTH_REQUIRED


async def test_the_headers_name_a_human_of_the_default_tenant_with_every_scope() -> None:
    assert await authenticate(GOOD) == Actor(
        actor_id="ada",
        actor_role=Role.DISPATCHER,
        actor_type=ActorType.HUMAN,
        tenant_id="default",
        account_ids=None,
        site_ids=None,
        technician_id=None,
    )


@pytest.mark.parametrize(
    ("headers", "code", "dimension"),
    [
        ({}, Code.MISSING_ACTOR_CONTEXT, "role"),
        ({"x-actor-role": "qa"}, Code.MISSING_ACTOR_CONTEXT, "role"),
        ({"x-actor-id": "  ", "x-actor-role": "qa"}, Code.MISSING_ACTOR_CONTEXT, "role"),
        ({"x-actor-id": "ada"}, Code.MISSING_ACTOR_CONTEXT, "role"),
        ({"x-actor-id": "x" * 201, "x-actor-role": " "}, Code.MISSING_ACTOR_CONTEXT, "role"),
        ({"x-actor-id": "x" * 201, "x-actor-role": "root"}, Code.INVALID_ACTOR_CONTEXT, None),
        (GOOD | {"x-actor-role": "root", "x-actor-type": "?"}, Code.INVALID_AUTH_CLAIMS, "role"),
        (GOOD | {"x-actor-type": "ROBOT", "x-site-scope": "?"}, Code.INVALID_AUTH_CLAIMS, None),
        (GOOD | {"x-account-scope": "mine"}, Code.INVALID_ACTOR_CONTEXT, None),
        (GOOD | {"x-account-scope": f"{ID};{OTHER_ID}"}, Code.INVALID_ACTOR_CONTEXT, None),
        (GOOD | {"x-site-scope": f"*,{ID[:-1]}"}, Code.INVALID_ACTOR_CONTEXT, None),
    ],
)
async def test_unusable_headers_are_refused_in_order(
    headers: dict[str, str], code: Code, dimension: str | None
) -> None:
    error = await refusal(headers)
    assert (error.code, error.dimension) == (code, dimension)


@pytest.mark.parametrize(
    ("scope", "expected"),
    [
        ("", None),
        ("  ", None),
        ("*", None),
        (f" {ID} ", frozenset({UUID(ID)})),
        (f"{ID} , {OTHER_ID}", frozenset({UUID(ID), UUID(OTHER_ID)})),
        (f"{ID},*", None),
    ],
)
async def test_scope_headers_are_comma_lists_and_blank_is_everything(
    scope: str, expected: frozenset[UUID] | None
) -> None:
    actor = await authenticate(GOOD | {"x-account-scope": scope, "x-site-scope": scope})
    assert (actor.account_ids, actor.site_ids) == (expected, expected)


@pytest.mark.parametrize(("word", "expected"), [("agent", "AGENT"), (" System ", "SYSTEM")])
async def test_the_actor_type_is_read_in_any_case(word: str, expected: str) -> None:
    actor = await authenticate(GOOD | {"x-actor-type": word})
    assert actor.actor_type is ActorType(expected)


async def test_an_actor_id_of_200_characters_is_accepted() -> None:
    assert await authenticate(GOOD | {"x-actor-id": "x" * 200})


@pytest.mark.parametrize(
    ("headers", "missing"),
    [
        ({}, "X-Actor-Id, X-Actor-Role"),
        ({"x-actor-id": " ", "x-actor-role": " "}, "X-Actor-Id, X-Actor-Role"),
        ({"x-actor-role": "qa"}, "X-Actor-Id"),
        ({"x-actor-id": "ada"}, "X-Actor-Role"),
    ],
)
async def test_every_missing_header_is_named_at_once(headers: dict[str, str], missing: str) -> None:
    assert (await refusal(headers)).message == f"Missing: {missing}."


async def test_the_refusal_of_an_unknown_role_names_every_role_and_alias() -> None:
    message = (await refusal(GOOD | {"x-actor-role": "king"})).message
    assert all(f" {word}" in message for word in (*Role, *load_bundle().role_aliases))
