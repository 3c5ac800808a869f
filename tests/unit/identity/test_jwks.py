"""Tokens verified with public keys: which key fits (contract 4.3)."""

import json
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any, TypeAlias

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, rsa
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm
from starlette.datastructures import Headers

from api.identity.authenticator import Authenticator
from api.identity.identity import Identity
from api.wire.errors import ApiError
from policy.codes import Code
from policy.rules.bundle import load_bundle
from runtime.settings import Settings

ALIASES = load_bundle().role_aliases
CLAIMS = {"sub": "ada", "role": "qa", "exp": 4_000_000_000}
SECRET = "a secret of well over thirty-two bytes for tests"


AuthWith: TypeAlias = Callable[..., Authenticator]


@cache
def private_key(name: str) -> Any:  # noqa: ANN401  the library's own union of key types
    """Return the key of that name: its kind, then a digit that makes it another one."""
    match name[:-1]:
        case "rsa":
            return rsa.generate_private_key(65537, 2048)
        case "small":
            return rsa.generate_private_key(65537, 1024)  # noqa: S505  to be refused
        case "p256":
            return ec.generate_private_key(ec.SECP256R1())
        case "p384":
            return ec.generate_private_key(ec.SECP384R1())
        case "ed25519":
            return ed25519.Ed25519PrivateKey.generate()
        case "ed448":
            return ed448.Ed448PrivateKey.generate()
        case _:
            raise ValueError(name)


def jwk(name: str, **more: object) -> dict[str, Any]:
    """Return the public JWK of a key; a member `...` is left out."""
    public = private_key(name).public_key()
    match public:
        case rsa.RSAPublicKey():
            shape = RSAAlgorithm.to_jwk(public, as_dict=True)
        case ec.EllipticCurvePublicKey():
            shape = ECAlgorithm.to_jwk(public, as_dict=True)
        case _:
            shape = OKPAlgorithm.to_jwk(public, as_dict=True)
    shape.pop("key_ops", None)
    return {name: each for name, each in (shape | more).items() if each is not ...}


def token(alg: str, name: str, **header: object) -> str:
    return jwt.encode(CLAIMS, private_key(name), algorithm=alg, headers=dict(header))


@pytest.fixture
def auth_with(tmp_path: Path) -> AuthWith:
    """Return what makes an authenticator over a file of the keys given."""

    def build(*keys: object, **settings: object) -> Authenticator:
        path = tmp_path / "keys.json"
        path.write_text(json.dumps({"keys": keys}))
        values = {"auth_jwks_file": path, **settings}
        return Authenticator(Settings.model_validate(values), ALIASES)

    return build


async def accept(auth: Authenticator, text: str) -> Identity:
    return await auth.authenticate(Headers({"authorization": f"Bearer {text}"}))


async def refusal(auth: Authenticator, text: str) -> Code:
    with pytest.raises(ApiError) as caught:
        await accept(auth, text)
    return caught.value.code


@pytest.mark.parametrize(
    ("alg", "name", "more"),
    [
        ("RS256", "rsa1", {}),
        ("RS256", "rsa1", {"alg": "RS256", "use": "sig", "key_ops": ["verify"], "x5t": "any"}),
        ("ES256", "p2561", {}),
        ("EdDSA", "ed255191", {"alg": "EdDSA"}),
        ("EdDSA", "ed4481", {}),
    ],
)
async def test_a_key_of_the_right_kind_verifies(
    alg: str, name: str, more: dict[str, object], auth_with: AuthWith
) -> None:
    auth = auth_with(jwk(name, **more))
    text = token(alg, name)
    identity = await accept(auth, text)
    assert identity.actor_id == "ada"
    assert await accept(auth, text) is identity


@pytest.mark.parametrize(
    ("alg", "name", "entry"),
    [
        ("RS256", "rsa1", jwk("rsa2")),
        ("RS256", "rsa1", jwk("rsa1", alg="RS512")),
        ("RS256", "rsa1", jwk("rsa1", alg="PS256")),
        ("RS256", "rsa1", jwk("rsa1", use="enc")),
        ("RS256", "rsa1", jwk("rsa1", key_ops=["sign"])),
        ("RS256", "rsa1", jwk("rsa1", key_ops="verify")),
        ("RS256", "rsa1", jwk("rsa1", kty="EC")),
        ("RS256", "rsa1", jwk("rsa1", n=...)),
        ("RS256", "rsa1", jwk("rsa1", n="AQAB!")),
        ("RS256", "rsa1", jwk("rsa1", e=7)),
        ("RS256", "small1", jwk("small1")),
        ("RS512", "rsa1", jwk("rsa1")),
        ("PS256", "rsa1", jwk("rsa1")),
        ("ES256", "p2561", jwk("p2562")),
        ("ES256", "p2561", jwk("p2561", crv="P-384")),
        ("ES256", "p2561", jwk("p2561", crv=...)),
        ("ES384", "p3841", jwk("p3841")),
        ("EdDSA", "ed255191", jwk("ed255192")),
        ("EdDSA", "ed255191", jwk("ed255191", crv="X25519")),
        ("EdDSA", "ed255191", jwk("ed255191", alg="ES256")),
        ("RS256", "rsa1", "not a key"),
    ],
)
@pytest.mark.filterwarnings("ignore:The RSA key is 1024 bits long")
async def test_a_key_that_does_not_fit_verifies_nothing(
    alg: str, name: str, entry: object, auth_with: AuthWith
) -> None:
    auth = auth_with(entry)
    assert await refusal(auth, token(alg, name)) is Code.INVALID_AUTH_TOKEN


async def test_a_public_key_is_never_an_hmac_secret(auth_with: AuthWith) -> None:
    keys = (jwk("rsa1"), {"kty": "oct", "k": "c2VjcmV0"})
    public = private_key("rsa1").public_key()
    formats = serialization.PublicFormat
    forgeries = [
        public.public_bytes(serialization.Encoding.PEM, formats.SubjectPublicKeyInfo),
        public.public_bytes(serialization.Encoding.DER, formats.SubjectPublicKeyInfo),
        b"secret",
    ]
    hmac = jwt.get_algorithm_by_name("HS256")
    for auth in (
        auth_with(*keys),
        auth_with(*keys, auth_jwt_secret=SECRET),
        auth_with(*keys, auth_jwt_algorithms="HS256,RS256"),
    ):
        for key in forgeries:
            head, body, _ = jwt.encode(CLAIMS, SECRET, algorithm="HS256").split(".")
            forged = hmac.sign(f"{head}.{body}".encode(), key)
            text = f"{head}.{body}.{jwt.utils.base64url_encode(forged).decode()}"
            assert await refusal(auth, text) is Code.INVALID_AUTH_TOKEN


async def test_secret_and_keys_work_side_by_side_each_for_its_own(auth_with: AuthWith) -> None:
    auth = auth_with(jwk("p2561"), auth_jwt_secret=SECRET)
    assert await accept(auth, jwt.encode(CLAIMS, SECRET, algorithm="HS256"))
    assert await accept(auth, token("ES256", "p2561"))


async def test_the_kid_selects_the_key(auth_with: AuthWith) -> None:
    auth = auth_with(jwk("p2561", kid="one"), jwk("p2562", kid="two"), jwk("rsa1", kid="two"))

    assert await accept(auth, token("ES256", "p2561", kid="one"))
    assert await accept(auth, token("ES256", "p2562", kid="two"))
    assert await accept(auth, token("RS256", "rsa1", kid="two"))
    assert await refusal(auth, token("ES256", "p2561", kid="two")) is Code.INVALID_AUTH_TOKEN
    assert await refusal(auth, token("RS256", "rsa1", kid="one")) is Code.INVALID_AUTH_TOKEN


async def test_without_kid_exactly_one_fitting_key_must_exist(auth_with: AuthWith) -> None:
    auth = auth_with(jwk("p2561", kid="one"), jwk("p2562"), jwk("rsa1", kid="r"))
    assert await accept(auth, token("RS256", "rsa1"))
    assert await refusal(auth, token("ES256", "p2561")) is Code.INVALID_AUTH_TOKEN


@pytest.mark.parametrize("alg", ["RS256", "ES256", "EdDSA"])
async def test_a_key_that_is_listed_twice_is_one(alg: str, auth_with: AuthWith) -> None:
    name = {"RS256": "rsa1", "ES256": "p2561", "EdDSA": "ed255191"}[alg]
    twice = (jwk(name, kid="k"), jwk(name, kid="k", use="sig", alg=alg))
    for keys in (twice, (jwk(name), jwk(name)), (jwk(name, kid="one"), jwk(name, kid="two"))):
        assert await accept(auth_with(*keys), token(alg, name))
    assert await accept(auth_with(*twice), token(alg, name, kid="k"))


async def test_two_keys_under_one_kid_verify_nothing(auth_with: AuthWith) -> None:
    auth = auth_with(jwk("p2561", kid="k"), jwk("p2562", kid="k"), jwk("p2561", kid="k"))
    assert await refusal(auth, token("ES256", "p2561", kid="k")) is Code.INVALID_AUTH_TOKEN
