"""Public keys that verify tokens: which key fits, and how the set is kept fresh (contract 4.3)."""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import httpx
import jwt
import structlog
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm
from pydantic import JsonValue

from api.wire.errors import AuthConfigError, InvalidJsonError
from api.wire.ijson import parse_json
from runtime.environment import Algorithm
from runtime.settings import Settings

FRESH_SECONDS: Final = 300
REFRESH_INTERVAL_SECONDS: Final = 30
MAX_UNKNOWN_KIDS: Final = 5
FETCH_TIMEOUT_SECONDS: Final = 5
MAX_DOCUMENT_BYTES: Final = 1_048_576
MIN_RSA_BITS: Final = 2048

# What a key must say of itself to fit an algorithm, and the members its public half is made of.
_SHAPES: Final = (
    (Algorithm.RS256, {"kty": "RSA"}, ("n", "e"), RSAAlgorithm.from_jwk),
    (Algorithm.ES256, {"kty": "EC", "crv": "P-256"}, ("x", "y"), ECAlgorithm.from_jwk),
    (Algorithm.EDDSA, {"kty": "OKP", "crv": "Ed25519"}, ("x",), OKPAlgorithm.from_jwk),
    (Algorithm.EDDSA, {"kty": "OKP", "crv": "Ed448"}, ("x",), OKPAlgorithm.from_jwk),
)


@dataclass(frozen=True, slots=True)
class VerificationKey:
    """A public key and the one algorithm it verifies."""

    kid: str | None
    algorithm: Algorithm
    key: Any  # the library's own union of key types


@dataclass(frozen=True, slots=True)
class KeySet:
    """The usable keys of one JWKS document, and every kid the document names."""

    keys: tuple[VerificationKey, ...] = ()
    kids: frozenset[str] = frozenset()

    def select(self, algorithm: Algorithm, kid: str | None) -> VerificationKey | None:
        """Return the one key that fits, of that kid if there is one; None if none or several.

        A key that is listed twice, also under two kids, is one.
        """
        fitting = [
            each
            for each in self.keys
            if each.algorithm is algorithm and (kid is None or each.kid == kid)
        ]
        return fitting[0] if fitting and all(e.key == fitting[0].key for e in fitting) else None


def parse_jwks(raw: bytes) -> KeySet:
    """Return the keys of a JWKS document; keys that do not fit are left out.

    Raises ValueError if it is no JWKS document.
    """
    try:
        document = parse_json(raw)
    except InvalidJsonError as error:
        raise ValueError(error.message) from None
    entries = document.get("keys") if isinstance(document, dict) else None
    if not isinstance(entries, list):
        raise ValueError("the document has no list of keys")  # noqa: TRY004
    keys = [each for each in entries if isinstance(each, dict)]
    usable = [key for each in keys if (key := _usable(each)) is not None]
    return KeySet(tuple(usable), frozenset(kid for each in keys if (kid := _kid(each))))


class JwksCache:
    """The current key set of a URL or file: fresh for 300 s, stale while the source is down."""

    def __init__(self, source: str | Path, clock: Callable[[], float]) -> None:
        self._source = source
        self._clock = clock
        self._lock = asyncio.Lock()
        self._attempts = 0
        self._raw: bytes | None = None
        self._keys = KeySet()
        self._due_at = float("-inf")
        self._asked: dict[str, float] = {}  # the unknown kids of late, and when each was asked for

    async def current(self) -> KeySet:
        """Return the key set, read again when due; raise `AuthConfigError` if never readable.

        An unchanged document gives the same object.
        """
        attempts = self._attempts
        being_read = self._raw is not None and self._lock.locked()  # then the old copy will do
        if self._clock() >= self._due_at and not being_read:
            async with self._lock:
                if attempts == self._attempts:  # nobody read it while we waited
                    await self._read()
        if self._raw is None:
            raise AuthConfigError("The keys that verify tokens cannot be read.")
        return self._keys

    async def with_kid(self, kid: str | None) -> KeySet:
        """Return the key set, read again for an unknown `kid`.

        Within 30 s that happens once for one kid, so that a new key counts at once, and for a few
        kids in all, so that nobody can make us read without end by inventing them.
        """
        attempts = self._attempts
        keys = await self.current()
        if kid is None or kid in keys.kids or attempts != self._attempts:
            return keys
        async with self._lock:  # another request may just be reading
            unread = attempts == self._attempts and kid not in self._keys.kids
            if unread and self._may_ask_for(kid):
                await self._read()
        return self._keys

    def _may_ask_for(self, kid: str) -> bool:
        now = self._clock()
        self._asked = {
            each: at for each, at in self._asked.items() if now - at < REFRESH_INTERVAL_SECONDS
        }
        if kid in self._asked or len(self._asked) >= MAX_UNKNOWN_KIDS:
            return False
        self._asked[kid] = now
        return True

    async def _read(self) -> None:
        self._attempts += 1
        try:
            async with asyncio.timeout(FETCH_TIMEOUT_SECONDS):
                raw = await _fetch(self._source)
            if raw != self._raw:
                self._keys, self._raw = parse_jwks(raw), raw
            self._due_at = self._clock() + FRESH_SECONDS
        except (httpx.HTTPError, httpx.InvalidURL, OSError, ValueError) as error:
            if self._raw is not None:
                self._due_at = self._clock() + REFRESH_INTERVAL_SECONDS
            structlog.get_logger().warning(
                "auth.jwks_unreadable", source=str(self._source), reason=repr(error)
            )


def jwks_cache(settings: Settings, clock: Callable[[], float]) -> JwksCache | None:
    """Return the cache of the configured source, or None without one."""
    source = settings.auth_jwks_url or settings.auth_jwks_file
    return None if source is None else JwksCache(source, clock)


async def _fetch(source: str | Path) -> bytes:
    if isinstance(source, Path):
        return await asyncio.to_thread(source.read_bytes)
    raw = bytearray()
    async with (
        httpx.AsyncClient(timeout=FETCH_TIMEOUT_SECONDS) as client,
        client.stream("GET", source, headers={"Accept": "application/json"}) as response,
    ):
        if response.status_code != httpx.codes.OK:
            raise ValueError(f"the source answered {response.status_code}")
        async for chunk in response.aiter_bytes():
            raw += chunk
            if len(raw) > MAX_DOCUMENT_BYTES:
                raise ValueError(f"the document exceeds {MAX_DOCUMENT_BYTES} bytes")
    return bytes(raw)


def _usable(entry: Mapping[str, JsonValue]) -> VerificationKey | None:
    operations = entry.get("key_ops")
    if entry.get("use") not in {None, "sig"}:
        return None
    if operations is not None and not (isinstance(operations, list) and "verify" in operations):
        return None
    for algorithm, marks, members, build in _SHAPES:
        if entry.get("alg") not in {None, algorithm}:
            continue
        if all(entry.get(name) == value for name, value in marks.items()):
            try:
                key = build({**marks, **{name: entry[name] for name in members}})
            except (jwt.PyJWTError, ValueError, TypeError, KeyError):
                return None
            if isinstance(key, RSAPublicKey) and key.key_size < MIN_RSA_BITS:
                return None
            return VerificationKey(_kid(entry), algorithm, key)
    return None


def _kid(entry: Mapping[str, JsonValue]) -> str | None:
    kid = entry.get("kid")
    return kid if isinstance(kid, str) else None
