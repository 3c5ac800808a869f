"""When the public keys that verify tokens are read, and what serves meanwhile (contract 4.3)."""

import json
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import anyio
import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from jwt.algorithms import ECAlgorithm
from starlette.datastructures import Headers

from api.identity.authenticator import Authenticator
from api.identity.identity import Identity
from api.wire.errors import ApiError
from policy.codes import Code
from policy.rules.bundle import load_bundle
from runtime.settings import Settings

ALIASES = load_bundle().role_aliases
CLAIMS = {"sub": "ada", "role": "qa", "exp": 4_000_000_000}


@cache
def private_key(number: int) -> ec.EllipticCurvePrivateKey:
    """Return the key of that number, made at its first use."""
    del number
    return ec.generate_private_key(ec.SECP256R1())


def jwk(number: int, **more: object) -> dict[str, object]:
    return ECAlgorithm.to_jwk(private_key(number).public_key(), as_dict=True) | more


def token(number: int, **header: object) -> str:
    return jwt.encode(CLAIMS, private_key(number), algorithm="ES256", headers=dict(header))


def document(*keys: object) -> bytes:
    return json.dumps({"keys": keys}).encode()


@dataclass
class Source:
    """A local JWKS server whose document and status a test changes."""

    body: bytes = document()
    status: int = 200
    hits: int = 0
    url: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)


@pytest.fixture
def source() -> Iterator[Source]:
    state = Source()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            state.hits += 1
            self.send_response(state.status)
            for name, value in state.headers.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(state.body)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    state.url = f"http://127.0.0.1:{server.server_port}/keys"
    yield state
    server.shutdown()
    thread.join()
    server.server_close()


class Clock:
    """A clock that a test moves."""

    def __init__(self) -> None:
        self.now = time.time()

    def __call__(self) -> float:
        """Return the moment the test chose."""
        return self.now


def authenticator(source: Source, clock: Clock | None = None, **settings: object) -> Authenticator:
    values = {"auth_jwks_url": source.url, **settings}
    return Authenticator(Settings.model_validate(values), ALIASES, clock or Clock())


async def accept(auth: Authenticator, text: str) -> Identity:
    return await auth.authenticate(Headers({"authorization": f"Bearer {text}"}))


async def refusal(auth: Authenticator, text: str) -> Code:
    with pytest.raises(ApiError) as caught:
        await accept(auth, text)
    return caught.value.code


async def test_the_document_is_read_once_in_300_seconds(source: Source) -> None:
    source.body, clock = document(jwk(1)), Clock()
    auth = authenticator(source, clock)
    for _ in range(3):
        await accept(auth, token(1))
    clock.now += 299
    await accept(auth, token(1))
    assert source.hits == 1
    clock.now += 1
    await accept(auth, token(1))
    assert source.hits == 2


async def test_an_unknown_kid_reads_again_at_most_once_in_30_seconds(source: Source) -> None:
    source.body, clock = document(jwk(1, kid="old")), Clock()
    auth = authenticator(source, clock)
    await accept(auth, token(1, kid="old"))

    for _ in range(3):
        assert await refusal(auth, token(1, kid="?")) is Code.INVALID_AUTH_TOKEN
    assert source.hits == 2
    clock.now += 29
    assert await refusal(auth, token(1, kid="?")) is Code.INVALID_AUTH_TOKEN
    assert source.hits == 2
    clock.now += 1
    assert await refusal(auth, token(1, kid="?")) is Code.INVALID_AUTH_TOKEN
    assert source.hits == 3


async def test_a_new_key_counts_at_once_although_another_kid_was_just_asked_for(
    source: Source,
) -> None:
    source.body = document(jwk(1, kid="old"))
    auth = authenticator(source)
    await accept(auth, token(1, kid="old"))
    assert await refusal(auth, token(1, kid="?")) is Code.INVALID_AUTH_TOKEN
    for number in (2, 3):
        source.body = document(jwk(1, kid="old"), jwk(number, kid=f"new-{number}"))
        assert await accept(auth, token(number, kid=f"new-{number}"))


async def test_invented_kids_do_not_make_it_read_without_end(source: Source) -> None:
    source.body, clock = document(jwk(1, kid="old")), Clock()
    auth = authenticator(source, clock)
    for rounds in (1, 2):
        for number in range(50):
            text = token(1, kid=f"{rounds}-{number}")
            assert await refusal(auth, text) is Code.INVALID_AUTH_TOKEN
        assert source.hits <= 1 + rounds * 5
        clock.now += 30
    source.body = document(jwk(2, kid="new"))
    assert await accept(auth, token(2, kid="new"))


async def test_requests_that_ask_for_one_new_kid_together_read_once(source: Source) -> None:
    source.body = document(jwk(1, kid="old"))
    auth = authenticator(source)
    await accept(auth, token(1, kid="old"))
    source.body = document(jwk(2, kid="new"))
    async with anyio.create_task_group() as together:
        for _ in range(8):
            together.start_soon(accept, auth, token(2, kid="new"))
    assert source.hits == 2


async def test_a_token_of_a_withdrawn_key_is_forgotten(source: Source) -> None:
    source.body, clock = document(jwk(1)), Clock()
    auth, text = authenticator(source, clock), token(1)
    await accept(auth, text)
    source.body = document(jwk(2))
    clock.now += 300
    assert await refusal(auth, text) is Code.INVALID_AUTH_TOKEN


async def test_a_stale_copy_serves_while_the_source_is_down(source: Source) -> None:
    source.body, clock = document(jwk(1, kid="one")), Clock()
    auth = authenticator(source, clock)
    await accept(auth, token(1, kid="one"))
    source.status = 500
    for _ in range(3):
        clock.now += 86_400
        assert await accept(auth, token(1))
    assert await refusal(auth, token(1, kid="?")) is Code.INVALID_AUTH_TOKEN


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (404, document(jwk(1))),
        (302, document(jwk(1))),
        (200, b""),
        (200, b"[]"),
        (200, b'{"keys": {}}'),
        (200, b"<html>"),
        (200, b'{"keys": [], "keys": []}'),
        (200, b" " * 1_048_577),
    ],
)
async def test_a_source_that_was_never_readable_is_a_configuration_error(
    status: int, body: bytes, source: Source
) -> None:
    source.status, source.body = status, body
    auth = authenticator(source)
    assert await refusal(auth, token(1)) is Code.AUTH_CONFIG_ERROR
    assert await refusal(auth, "not.a.token") is Code.INVALID_AUTH_TOKEN
    source.status, source.body = 200, document(jwk(1))
    assert await accept(auth, token(1))


async def test_a_source_that_does_not_answer_is_a_configuration_error(
    source: Source, tmp_path: Path
) -> None:
    for auth in (
        authenticator(source, auth_jwks_url=None, auth_jwks_file=tmp_path / "absent.json"),
        authenticator(source, auth_jwks_url="http://127.0.0.1:1/keys"),
    ):
        assert await refusal(auth, token(1)) is Code.AUTH_CONFIG_ERROR


async def test_the_document_may_be_a_file(source: Source, tmp_path: Path) -> None:
    path = anyio.Path(tmp_path) / "keys.json"
    await path.write_bytes(document(jwk(1)))
    auth = authenticator(source, auth_jwks_url=None, auth_jwks_file=str(path))
    assert await accept(auth, token(1))


async def test_a_redirect_is_not_followed(source: Source) -> None:
    source.status, source.headers = 302, {"Location": source.url}
    auth = authenticator(source)
    assert await refusal(auth, token(1)) is Code.AUTH_CONFIG_ERROR
    assert source.hits == 1
