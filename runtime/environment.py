"""How the text of an environment variable becomes a value (contract 4.1, 18): words and flags."""

import re
from collections.abc import Mapping
from enum import StrEnum
from urllib.parse import urlsplit

MODE_NAMES = ("DISPATCH_ENV", "NODE_ENV")
DEFAULT_API_URL = "http://127.0.0.1:8080"
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


def http_url(value: str) -> str:
    """Return a URL of the web as it is."""
    parts = urlsplit(value)
    if parts.scheme not in {"http", "https"} or not parts.hostname or re.search(r"\s", value):
        raise ValueError("must be an http or https URL")
    return value


def variable_text(environ: Mapping[str, str], *names: str) -> str | None:
    """Return the first of the variables that says something; a blank one counts as absent."""
    return next((environ[name] for name in names if environ.get(name, "").strip()), None)


def mode_of(environ: Mapping[str, str]) -> Mode:
    """Return the mode; raise for a word that was meant to name one: it must not weaken anything."""
    word = environ.get("DISPATCH_ENV", "").strip().lower()
    named = [mode.value for mode in Mode if mode is not Mode.NEUTRAL]
    if word and word not in named:
        raise ConfigurationError(f"DISPATCH_ENV must be one of {', '.join(named)}")
    return read_mode(variable_text(environ, *MODE_NAMES))
