"""How the text of an environment variable becomes a value (contract 4.1, 18)."""

import re
from enum import StrEnum
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr

_TRUE = frozenset({"1", "true", "yes", "on", "enabled"})
_FALSE = frozenset({"0", "false", "no", "off", "disabled"})


class ConfigurationError(Exception):
    """The process must not start with this configuration. The text names the variable."""


class Mode(StrEnum):
    """What `DISPATCH_ENV`, else `NODE_ENV`, says; NEUTRAL is nothing, or an unknown NODE_ENV."""

    PRODUCTION = "production"
    DEVELOPMENT = "development"
    LOCAL = "local"
    TEST = "test"
    NEUTRAL = "neutral"


class Algorithm(StrEnum):
    """The signature algorithms a token may have; `none` is not among them."""

    HS256 = "HS256"
    RS256 = "RS256"
    ES256 = "ES256"
    EDDSA = "EdDSA"


class RetentionMode(StrEnum):
    """How the object store locks finalized evidence."""

    NONE = "NONE"
    GOVERNANCE = "GOVERNANCE"
    COMPLIANCE = "COMPLIANCE"


def read_mode(value: object) -> Mode:
    """Return the mode a text names, in any case."""
    word = value.strip().lower() if isinstance(value, str) else ""
    return Mode(word) if word in {*Mode} else Mode.NEUTRAL


def read_flag(value: object) -> bool:
    """Return the boolean a text spells, in any case."""
    if isinstance(value, bool):
        return value
    word = value.strip().lower() if isinstance(value, str) else ""
    if word in _TRUE:
        return True
    if word in _FALSE:
        return False
    raise ValueError("must be one of 1/true/yes/on/enabled or 0/false/no/off/disabled")


def split_words(value: object) -> object:
    """Return the items of a comma list; whatever is no text passes unchanged."""
    if not isinstance(value, str):
        return value
    words = tuple(word.strip() for word in value.split(",") if word.strip())
    if not words:
        raise ValueError("must name something")
    return words


def _upper(value: object) -> object:
    return value.strip().upper() if isinstance(value, str) else value


def _lower_words(words: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(word.lower() for word in words)


def _http_url(value: str) -> str:
    parts = urlsplit(value)
    if parts.scheme not in {"http", "https"} or not parts.hostname or re.search(r"\s", value):
        raise ValueError("must be an http or https URL")
    return value


def _postgres_url(value: SecretStr) -> SecretStr:
    if urlsplit(value.get_secret_value()).scheme not in {"postgres", "postgresql"}:
        raise ValueError("must be a postgres:// URL")
    return value


def _encodable(value: SecretStr) -> SecretStr:
    try:
        value.get_secret_value().encode()
    except UnicodeEncodeError:
        raise ValueError("must be UTF-8") from None
    return value


Flag = Annotated[bool, BeforeValidator(read_flag)]
Words = Annotated[tuple[str, ...], BeforeValidator(split_words), AfterValidator(_lower_words)]
Recipient = Annotated[str, Field(pattern=r"^[a-z_]+:sms:\+?[0-9A-Za-z ()./-]{3,40}$")]
Recipients = Annotated[tuple[Recipient, ...], BeforeValidator(split_words)]
Algorithms = Annotated[tuple[Algorithm, ...], BeforeValidator(split_words)]
AnyCase = BeforeValidator(_upper)
ModeName = Annotated[Mode, BeforeValidator(read_mode)]
HttpUrl = Annotated[str, AfterValidator(_http_url)]
Secret = Annotated[SecretStr, AfterValidator(_encodable)]
PostgresUrl = Annotated[Secret, AfterValidator(_postgres_url)]
HostPort = Annotated[str, Field(pattern=r"^\S+:\d{1,5}$")]
ImportPath = Annotated[str, Field(pattern=r"^\w+(\.\w+)*:\w+$")]
Port = Annotated[int, Field(ge=0, le=65535)]
Percent = Annotated[int, Field(ge=0, le=100)]
Natural = Annotated[int, Field(ge=0)]
Positive = Annotated[int, Field(ge=1)]
