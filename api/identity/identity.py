"""Who calls: the words that tokens and dev headers share (contract 4.3 to 4.6)."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Final, TypeAlias
from unicodedata import category
from uuid import UUID

from api.wire.errors import InvalidClaimsError, UnknownRoleError
from policy.model import Actor, ActorType, Role
from policy.values import parse_uuid

MAX_ACTOR_ID_LENGTH: Final = 200
DEFAULT_TENANT: Final = "default"
_EVERYTHING: Final = "*"
_CONTROLS: Final = frozenset({"Cc", "Cs", "Zl", "Zp"})

IdScope: TypeAlias = frozenset[UUID] | None
"""Ids an actor may touch; None is `*`."""


@dataclass(frozen=True)
class Identity:
    """An authenticated caller whose scope is not read yet: role and tool are judged before it."""

    actor_id: str
    actor_role: Role
    actor_type: ActorType
    tenant_id: str
    technician_id: UUID | None
    read_scopes: Callable[[], tuple[IdScope, IdScope]]
    automated: bool = False
    """Whether the token says that no person acts."""

    @cached_property
    def actor(self) -> Actor:
        """The actor with its scope, or the `ApiError` of an unreadable one."""
        account_ids, site_ids = self.read_scopes()
        return Actor(
            actor_id=self.actor_id,
            actor_role=self.actor_role,
            actor_type=self.actor_type,
            tenant_id=self.tenant_id,
            account_ids=account_ids,
            site_ids=site_ids,
            technician_id=self.technician_id,
        )


def is_actor_id(text: str) -> bool:
    """Whether a trimmed text can name an actor: of its length, and without control characters.

    An identity is signed, logged and shown; nothing in it may pass for the end of it.
    """
    fits = 1 <= len(text) <= MAX_ACTOR_ID_LENGTH
    return fits and not any(category(each) in _CONTROLS for each in text)


def read_role(value: object, aliases: Mapping[str, Role]) -> Role:
    """Return the canonical role of a word, or raise `UnknownRoleError`."""
    word = value.strip().lower() if isinstance(value, str) else ""
    try:
        return aliases.get(word) or Role(word)
    except ValueError:
        raise UnknownRoleError([*Role, *aliases]) from None


def read_actor_type(value: object, default: ActorType) -> ActorType:
    """Return the actor type of a word in any case; None is the default."""
    if value is None:
        return default
    try:
        return ActorType(value.strip().upper() if isinstance(value, str) else "")
    except ValueError:
        raise InvalidClaimsError(f"The actor type must be one of {', '.join(ActorType)}.") from None


def read_ids(value: object) -> IdScope:
    """Return the ids of an array or comma list, None for `*`; raises ValueError.

    Nothing and blank text are an empty scope.
    """
    words: Sequence[object]
    if value is None:
        words = ()
    elif isinstance(value, str):
        words = [word.strip() for word in value.split(",") if word.strip()]
    elif isinstance(value, list):
        words = value
    else:
        raise ValueError("must be a list")
    ids = frozenset(parse_uuid(word) for word in words if word != _EVERYTHING)
    return None if _EVERYTHING in words else ids
