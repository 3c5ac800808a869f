"""Authentication of every request: which way, then who (contract 4.2 to 4.4)."""

import re
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import Final

import jwt
from jwt.algorithms import get_default_algorithms
from starlette.datastructures import Headers

from api.identity.dev_headers import identify
from api.identity.identity import Identity
from api.identity.jwks import KeySet, jwks_cache
from api.identity.jws import CompactJws, parse_compact
from api.identity.token_claims import ClaimsReader, Lifetime
from api.wire.errors import AuthConfigError, AuthRequiredError, InvalidTokenError
from policy.model import Role
from runtime.environment import Algorithm, ConfigurationError
from runtime.settings import Settings, require_verifier

MAX_REMEMBERED_TOKENS: Final = 4096
_BEARER: Final = re.compile(r"bearer[ \t]+(\S+)", re.IGNORECASE)
_ALGORITHMS: Final = {name: get_default_algorithms()[name] for name in Algorithm}


@dataclass(frozen=True, slots=True)
class _Verified:
    identity: Identity
    lifetime: Lifetime
    keys: KeySet | None
    """The key set the signature was checked with; None for the secret."""


class Authenticator:
    """Turns the headers of a request into an identity, or raises the `ApiError` to answer.

    Verified tokens are remembered, so that a caller's next request costs a hash.
    """

    def __init__(
        self,
        settings: Settings,
        role_aliases: Mapping[str, Role],
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Raise `ConfigurationError` if production could verify nothing or the secret is a key."""
        require_verifier(settings)
        self._settings = settings
        self._aliases = role_aliases
        self._clock = clock
        self._secret = _hmac_key(settings)
        self._jwks = jwks_cache(settings, clock)
        self._claims = ClaimsReader(settings, role_aliases)
        self._remembered: OrderedDict[bytes, _Verified] = OrderedDict()

    async def authenticate(self, headers: Headers) -> Identity:
        """Return the caller, up to the point where role and tool are judged."""
        authorization = headers.get("authorization", "").strip()
        if authorization:
            bearer = _BEARER.fullmatch(authorization)
            if bearer is None:
                raise InvalidTokenError("The Authorization header must read: Bearer <token>.")
            return await self._by_token(bearer[1])
        if self._settings.dev_headers_enabled:
            return identify(headers, self._aliases)
        raise AuthRequiredError

    async def _by_token(self, token: str) -> Identity:
        if not self._settings.verifies_tokens:
            raise AuthConfigError
        digest = sha256(token.encode()).digest()
        known = self._remembered.get(digest)
        if known is None or not await self._still_trusts(known):
            known = await self._verify(parse_compact(token))
            self._remembered[digest] = known
            if len(self._remembered) > MAX_REMEMBERED_TOKENS:
                self._remembered.popitem(last=False)
        else:
            known.lifetime.check(self._clock())
        self._remembered.move_to_end(digest)
        return known.identity

    async def _still_trusts(self, known: _Verified) -> bool:
        if known.keys is None or self._jwks is None:
            return True
        return await self._jwks.current() is known.keys

    async def _verify(self, token: CompactJws) -> _Verified:
        keys = await self._check_signature(token)
        lifetime = self._claims.lifetime(token.claims)
        lifetime.check(self._clock())
        return _Verified(self._claims.identity(token.claims), lifetime, keys)

    async def _check_signature(self, token: CompactJws) -> KeySet | None:
        """Return the key set that holds the key, None if it was the secret."""
        algorithm = self._algorithm(token)
        keys: KeySet | None = None
        if algorithm is Algorithm.HS256:
            key: object | None = self._secret
        else:
            keys, key = await self._public_key(algorithm, token)
        if key is None:
            raise InvalidTokenError("There is no key for this token.")
        if not _ALGORITHMS[algorithm].verify(token.signing_input, key, token.signature):
            raise InvalidTokenError("The signature does not match.")
        return keys

    def _algorithm(self, token: CompactJws) -> Algorithm:
        named = token.header.get("alg")
        for algorithm in self._settings.auth_jwt_algorithms:
            if algorithm == named:
                return algorithm
        raise InvalidTokenError("The algorithm of the token is not accepted here.")

    async def _public_key(
        self, algorithm: Algorithm, token: CompactJws
    ) -> tuple[KeySet | None, object | None]:
        kid = token.header.get("kid")
        if kid is not None and not isinstance(kid, str):
            raise InvalidTokenError("The kid of the token must be a string.")
        if self._jwks is None:
            return None, None
        keys = await self._jwks.with_kid(kid)
        selected = keys.select(algorithm, kid)
        return keys, selected.key if selected else None


def _hmac_key(settings: Settings) -> bytes | None:
    if settings.auth_jwt_secret is None:
        return None
    secret = settings.auth_jwt_secret.get_secret_value().encode()
    try:
        _ALGORITHMS[Algorithm.HS256].prepare_key(secret)
    except jwt.InvalidKeyError:
        raise ConfigurationError(
            "DISPATCH_AUTH_JWT_SECRET holds a key or certificate, not a secret"
        ) from None
    return secret
