"""A ring of keys in one environment variable: `id:key` entries, a key being base64 of 32 bytes."""

import re
import secrets
from base64 import b64decode, b64encode
from collections.abc import Callable, Iterable
from typing import Final, TypeVar

from runtime.environment import ConfigurationError

KEY_BYTES: Final = 32
_KEY_NAME: Final = re.compile(r"[A-Za-z0-9._-]{1,64}")
_K = TypeVar("_K")


def new_key(name: str) -> str:
    """Return a fresh ring entry, `id:key`; raises ValueError if `name` is no key id."""
    if not _KEY_NAME.fullmatch(name):
        raise ValueError("a key id has 1 to 64 letters, digits, dots, dashes or underscores")
    return f"{name}:{b64encode(secrets.token_bytes(KEY_BYTES)).decode()}"


def read_ring(variable: str, entries: Iterable[str], read: Callable[[str], _K]) -> dict[str, _K]:
    """Return the keys by id, in their order; `read` makes one of the text behind its id.

    Raises `ConfigurationError`, which never repeats a key.
    """
    keys: dict[str, _K] = {}
    for number, entry in enumerate(entries, start=1):
        try:
            _add(keys, entry, read)
        except ValueError as fault:
            raise ConfigurationError(
                f"{variable} cannot be read: entry {number} {fault};"
                " make keys with `dispatch keygen`"
            ) from None
    return keys


def key_bytes(text: str) -> bytes:
    """Return the bytes of a key; raises ValueError, which never repeats it."""
    try:
        key = b64decode(text, validate=True)
    except ValueError:
        raise ValueError("holds no base64") from None
    if len(key) != KEY_BYTES:
        raise ValueError(f"holds {len(key)} bytes instead of {KEY_BYTES}")
    return key


def _add(keys: dict[str, _K], entry: str, read: Callable[[str], _K]) -> None:
    name, separator, text = entry.strip().partition(":")
    if not separator or not _KEY_NAME.fullmatch(name):
        raise ValueError("does not begin with `key-id:`")
    if name in keys:
        raise ValueError("repeats the key id of an earlier one")
    keys[name] = read(text)
