"""Which way a request is authenticated, and tokens signed with the secret (contract 4.2, 4.3)."""

import base64
import json
from collections.abc import Callable, Mapping
from types import MappingProxyType
from uuid import UUID

import jwt
import pytest
from starlette.datastructures import Headers

from api.identity.authenticator import MAX_REMEMBERED_TOKENS, Authenticator
from api.wire.errors import ApiError
from policy.codes import Code
from policy.model import ActorType, Role
from policy.rules.bundle import load_bundle
from runtime.environment import ConfigurationError, Mode
from runtime.settings import Settings

SECRET = "a secret of well over thirty-two bytes for tests"
NOW = 1_800_000_000.0
ID = "D3F77DB0-5d1a-4f9c-b0ea-111111111111"
CLAIMS = {"sub": "ada", "role": "dispatcher", "exp": NOW + 60}
ALIASES = load_bundle().role_aliases


def authenticator(
    settings: Mapping[str, object] = MappingProxyType({}),
    now: Callable[[], float] = lambda: NOW,
) -> Authenticator:
    values = {"auth_jwt_secret": SECRET, **settings}
    return Authenticator(Settings.model_validate(values), ALIASES, now)


def token(**changes: object) -> str:
    return signed(json.dumps(CLAIMS | changes).encode())


def signed(payload: bytes, header: bytes = b'{"alg":"HS256"}', secret: str = SECRET) -> str:
    signing_input = b64(header) + "." + b64(payload)
    hmac = jwt.get_algorithm_by_name("HS256")
    return signing_input + "." + b64(hmac.sign(signing_input.encode(), secret.encode()))


def b64(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def bearer(text: str) -> Headers:
    return Headers({"authorization": f"Bearer {text}"})


async def refusal(headers: Headers, **settings: object) -> ApiError:
    with pytest.raises(ApiError) as caught:
        _ = (await authenticator(settings).authenticate(headers)).actor
    return caught.value


async def test_a_good_token_names_the_actor() -> None:
    claims = {"sub": " ada ", "role": " Tech ", "account_ids": [ID], "site_ids": "*"}
    more = {"tenant_id": "acme", "technician_id": ID, "actor_type": "human"}
    identity = await authenticator().authenticate(bearer(token(**claims, **more)))

    actor = identity.actor
    assert (actor.actor_id, actor.actor_role) == ("ada", Role.TECHNICIAN)
    assert (actor.actor_type, actor.tenant_id) == (ActorType.HUMAN, "acme")
    assert (actor.account_ids, actor.site_ids) == (frozenset({UUID(ID)}), None)
    assert actor.technician_id == UUID(ID)


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER", "bEaReR"])
async def test_the_scheme_is_read_in_any_case(scheme: str) -> None:
    headers = Headers({"authorization": f"  {scheme}   {token()} "})
    assert (await authenticator().authenticate(headers)).actor_id == "ada"


@pytest.mark.parametrize(
    "value", ["Basic YTpi", "Bearer", "Bearer ", f"Token {token()}", token(), "Bearer a b", "x"]
)
async def test_another_authorization_is_refused_even_where_dev_headers_are_on(value: str) -> None:
    headers = Headers({"authorization": value, "x-actor-id": "ada", "x-actor-role": "qa"})
    error = await refusal(headers, mode="test")
    assert (error.code, error.dimension) == (Code.INVALID_AUTH_TOKEN, "policy")


async def test_without_credentials_authentication_is_required() -> None:
    error = await refusal(Headers({"authorization": "  "}))
    assert (error.code, error.dimension) == (Code.AUTH_REQUIRED, None)
    assert error.headers == {"WWW-Authenticate": "Bearer"}


async def test_a_token_where_nothing_is_configured_is_a_configuration_error() -> None:
    error = await refusal(bearer("not.even.read"), auth_jwt_secret=None)
    assert (error.code, error.status, error.headers) == (
        Code.AUTH_CONFIG_ERROR,
        503,
        {"Retry-After": "5"},
    )


GOOD_PAYLOAD = json.dumps(CLAIMS).encode()
HEADER, PAYLOAD, SIGNATURE = token().split(".")


@pytest.mark.parametrize(
    "text",
    [
        "abc",
        "a.b",
        f"{HEADER}.{PAYLOAD}",
        f"{token()}.x",
        f"{HEADER}.{PAYLOAD}.",
        f"{HEADER}.{PAYLOAD}.{SIGNATURE}=",
        f"{HEADER}=.{PAYLOAD}.{SIGNATURE}",
        f"{HEADER}.{PAYLOAD}.{SIGNATURE[:-1]}",
        f"{HEADER}.{PAYLOAD}.{SIGNATURE[:-1]}{chr(ord(SIGNATURE[-1]) + 1)}",
        f"{HEADER}.{PAYLOAD}.é{SIGNATURE}",
        signed(b"[]"),
        signed(b'"text"'),
        signed(b"{"),
        signed(GOOD_PAYLOAD, b"null"),
        signed(GOOD_PAYLOAD[:-1] + b',"sub":"eve"}'),
        signed(GOOD_PAYLOAD[:-1] + b',"exp2":1e400}'),
        signed(GOOD_PAYLOAD[:-1] + b',"x":"\\ud800"}'),
        signed(GOOD_PAYLOAD, b'{"alg":"HS256","alg":"none"}'),
        signed(GOOD_PAYLOAD, b'{"alg":"none","alg":"HS256"}'),
        signed(GOOD_PAYLOAD, b'{"alg":"HS256","crit":["exp"]}'),
        signed(GOOD_PAYLOAD, b'{"alg":"HS256","crit":["b64"],"b64":true}'),
        signed(GOOD_PAYLOAD, b'{"alg":"HS256","crit":null}'),
        signed(GOOD_PAYLOAD, b'{"alg":["HS256"]}'),
        signed(GOOD_PAYLOAD, b'{"alg":"hs256"}'),
        signed(GOOD_PAYLOAD, b'{"alg":"HS512"}'),
        signed(GOOD_PAYLOAD, b'{"alg":"RS256"}'),
        signed(GOOD_PAYLOAD, b"{}"),
        signed(GOOD_PAYLOAD, secret=SECRET + "!"),
        b64(b'{"alg":"none"}') + f".{PAYLOAD}.",
        b64(b'{"alg":"None"}') + f".{PAYLOAD}.{SIGNATURE}",
    ],
)
async def test_a_token_of_bad_form_or_signature_is_refused(text: str) -> None:
    headers = Headers(raw=[(b"authorization", b"Bearer " + text.encode("latin-1"))])
    error = await refusal(headers)
    assert (error.code, error.dimension) == (Code.INVALID_AUTH_TOKEN, "policy")


async def test_an_algorithm_that_is_not_configured_is_refused() -> None:
    error = await refusal(bearer(token()), auth_jwt_algorithms="RS256")
    assert error.code is Code.INVALID_AUTH_TOKEN


async def test_iat_typ_unconfigured_aud_and_actor_headers_are_ignored() -> None:
    text = signed(
        json.dumps({**CLAIMS, "iat": "never", "aud": 7, "iss": []}).encode(),
        b'{"alg":"HS256","typ":"anything"}',
    )
    headers = Headers({"authorization": f"Bearer {text}", "x-actor-id": "eve"})
    assert (await authenticator().authenticate(headers)).actor_id == "ada"


async def test_a_remembered_token_still_expires() -> None:
    moments = iter([NOW, NOW + 9, NOW + 10])
    auth, headers = authenticator(now=lambda: next(moments)), bearer(token(exp=NOW + 10))
    assert await auth.authenticate(headers) is await auth.authenticate(headers)
    with pytest.raises(ApiError) as caught:
        await auth.authenticate(headers)
    assert caught.value.code is Code.INVALID_AUTH_CLAIMS


async def test_the_memory_of_tokens_is_bounded() -> None:
    auth = authenticator()
    first = await auth.authenticate(bearer(token()))
    for number in range(MAX_REMEMBERED_TOKENS):
        await auth.authenticate(bearer(token(sub=f"caller {number}")))
    assert await auth.authenticate(bearer(token())) is not first


def test_production_does_not_start_without_something_to_verify_with() -> None:
    with pytest.raises(ConfigurationError, match="DISPATCH_AUTH_JWT_SECRET"):
        authenticator({"mode": Mode.PRODUCTION, "auth_jwt_secret": None})


def test_a_public_key_as_secret_does_not_start() -> None:
    pem = "-----BEGIN PUBLIC KEY-----\nMFkwEwYHKoZIzj0CAQ\n-----END PUBLIC KEY-----\n"
    with pytest.raises(ConfigurationError, match="not a secret"):
        authenticator({"auth_jwt_secret": pem})
