"""From verified claims to an identity (contract 4.3, steps 4 to 11)."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Final, TypeAlias
from uuid import UUID

from pydantic import JsonValue

from api.identity.identity import (
    DEFAULT_TENANT,
    MAX_ACTOR_ID_LENGTH,
    Identity,
    IdScope,
    is_actor_id,
    read_actor_type,
    read_ids,
    read_role,
)
from api.wire.errors import InvalidClaimsError
from policy.model import ActorType, Role
from policy.values import parse_uuid
from runtime.settings import Settings

_TENANT: Final = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}")

Claims: TypeAlias = Mapping[str, JsonValue]


@dataclass(frozen=True, slots=True)
class Lifetime:
    """When a token may be used, in seconds since 1970, leeway included."""

    expires: float
    begins: float

    def check(self, now: float) -> None:
        """Raise `InvalidClaimsError` unless the token may be used now."""
        if self.expires <= now:
            raise InvalidClaimsError("The token has expired.")
        if self.begins > now:
            raise InvalidClaimsError("The token is not valid yet.")


class ClaimsReader:
    """Judges claims by an installation's settings."""

    def __init__(self, settings: Settings, aliases: Mapping[str, Role]) -> None:
        self._issuer = settings.auth_jwt_issuer
        self._audience = settings.auth_jwt_audience
        self._leeway = settings.auth_jwt_leeway_seconds
        self._automation_claim = settings.auth_automation_claim
        self._aliases = aliases

    def lifetime(self, claims: Claims) -> Lifetime:
        """Return the lifetime, which must end."""
        expires = _number(claims, "exp")
        begins = _number(claims, "nbf") if "nbf" in claims else float("-inf")
        return Lifetime(expires + self._leeway, begins - self._leeway)

    def identity(self, claims: Claims) -> Identity:
        """Return who the claims speak of; the scope is read later."""
        self._check_origin(claims)
        return Identity(
            actor_id=_subject(claims),
            actor_role=read_role(claims.get("role"), self._aliases),
            actor_type=read_actor_type(
                _first(claims.get("actor_type"), claims.get("actorType")), ActorType.AGENT
            ),
            tenant_id=_tenant(claims),
            technician_id=_technician(claims),
            read_scopes=partial(_scopes, claims),
            automated=self._automated(claims),
        )

    def _automated(self, claims: Claims) -> bool:
        """Return whether the installation's own claim marks the token as automation."""
        name = self._automation_claim
        value = None if name is None else claims.get(name)
        if value is None or isinstance(value, bool):
            return value is True
        raise InvalidClaimsError(f"The claim {name} must be true or false.")

    def _check_origin(self, claims: Claims) -> None:
        if self._issuer is not None and claims.get("iss") != self._issuer:
            raise InvalidClaimsError("The token has another issuer.")
        if self._audience is not None:
            audience = claims.get("aud")
            accepted = audience if isinstance(audience, list) else [audience]
            if self._audience not in accepted:
                raise InvalidClaimsError("The token is for another audience.")


def _number(claims: Claims, name: str) -> float:
    value = claims.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise InvalidClaimsError(f"The claim {name} must be a number.")
    return value


def _subject(claims: Claims) -> str:
    value = claims.get("sub")
    subject = value.strip() if isinstance(value, str) else ""
    if not is_actor_id(subject):
        raise InvalidClaimsError(
            f"The claim sub must have 1 to {MAX_ACTOR_ID_LENGTH} characters, no control characters."
        )
    return subject


def _tenant(claims: Claims) -> str:
    value = claims.get("tenant_id")
    if value is None:
        return DEFAULT_TENANT
    if not isinstance(value, str) or _TENANT.fullmatch(value) is None:
        raise InvalidClaimsError("The claim tenant_id is not a tenant's name.")
    return value


def _technician(claims: Claims) -> UUID | None:
    value = claims.get("technician_id")
    try:
        return None if value is None else parse_uuid(value)
    except ValueError:
        raise InvalidClaimsError("The claim technician_id must be a UUID.") from None


def _scopes(claims: Claims) -> tuple[IdScope, IdScope]:
    scope = claims.get("scope")
    if scope is None or isinstance(scope, str):  # a text is OAuth's own claim, and no list of ids
        scope = {}
    if not isinstance(scope, dict):
        raise InvalidClaimsError("The claim scope must be an object of ids, or the text of OAuth.")
    return _scope(scope, claims, "account_id"), _scope(scope, claims, "site_id")


def _scope(scope: Claims, claims: Claims, name: str) -> IdScope:
    plural = f"{name}s"
    try:
        return read_ids(_first(scope.get(plural), claims.get(plural), claims.get(name)))
    except ValueError:
        raise InvalidClaimsError(f"The scope {plural} must list UUIDs, or be *.") from None


def _first(*values: JsonValue) -> JsonValue:
    return next((value for value in values if value is not None), None)
