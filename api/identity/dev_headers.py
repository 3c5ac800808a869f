"""Identity by X-Actor-* headers, for development only (contract 4.4)."""

from collections.abc import Mapping
from functools import partial

from starlette.datastructures import Headers

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
from api.wire.errors import InvalidActorError, MissingActorError
from policy.model import ActorType, Role

REQUIRED = ("X-Actor-Id", "X-Actor-Role")


def identify(headers: Headers, aliases: Mapping[str, Role]) -> Identity:
    """Return the identity the headers claim, believing them."""
    actor_id, role = (headers.get(name, "").strip() for name in REQUIRED)
    missing = [name for name, sent in zip(REQUIRED, (actor_id, role), strict=True) if not sent]
    if missing:
        raise MissingActorError(f"Missing: {', '.join(missing)}.")
    if not is_actor_id(actor_id):
        raise InvalidActorError(
            f"X-Actor-Id must have 1 to {MAX_ACTOR_ID_LENGTH} characters, no control characters."
        )
    actor_type = headers.get("x-actor-type", "").strip() or None
    return Identity(
        actor_id=actor_id,
        actor_role=read_role(role, aliases),
        actor_type=read_actor_type(actor_type, ActorType.HUMAN),
        tenant_id=DEFAULT_TENANT,
        technician_id=None,
        read_scopes=partial(_scopes, headers),
    )


def _scopes(headers: Headers) -> tuple[IdScope, IdScope]:
    return _scope(headers, "X-Account-Scope"), _scope(headers, "X-Site-Scope")


def _scope(headers: Headers, name: str) -> IdScope:
    try:
        return read_ids(headers.get(name, "").strip() or "*")
    except ValueError:
        raise InvalidActorError(f"{name} must be a comma list of UUIDs or *.") from None
