"""The Ed25519 keys that sign checkpoints and dossiers: a ring, so that keys can change."""

import re
import secrets
from base64 import b64decode, b64encode
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final, NamedTuple, Self

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from runtime.environment import ConfigurationError
from runtime.settings import Settings

VARIABLE: Final = "DISPATCH_SIGNING_KEYS"
KEY_BYTES: Final = 32
PUBLIC: Final = "public:"
_KEY_NAME: Final = re.compile(r"[A-Za-z0-9._-]{1,64}")


class Signature(NamedTuple):
    """A signature, and the key that made it."""

    key_id: str
    signature: bytes


@dataclass(frozen=True)
class SigningKeys:
    """The keys by id. The first private one signs; every one verifies."""

    private: Mapping[str, Ed25519PrivateKey]
    public: Mapping[str, Ed25519PublicKey]

    @classmethod
    def read(cls, entries: Iterable[str]) -> Self:
        """Return the ring of `id:key` and, for keys that only verify, `id:public:key` entries.

        Keys are base64 of 32 bytes. Raises `ConfigurationError`, which never repeats a key.
        """
        private: dict[str, Ed25519PrivateKey] = {}
        public: dict[str, Ed25519PublicKey] = {}
        for number, entry in enumerate(entries, start=1):
            name, separator, key = entry.strip().partition(":")
            if not separator or not _KEY_NAME.fullmatch(name):
                raise _unreadable(number, "does not begin with `key-id:`")
            if name in public:
                raise _unreadable(number, "repeats the key id of an earlier one")
            material = _read_key(number, key.removeprefix(PUBLIC))
            if key.startswith(PUBLIC):
                public[name] = Ed25519PublicKey.from_public_bytes(material)
            else:
                private[name] = Ed25519PrivateKey.from_private_bytes(material)
                public[name] = private[name].public_key()
        return cls(private, public)

    @property
    def signing_id(self) -> str | None:
        """The id of the key that signs, None if the ring only verifies."""
        return next(iter(self.private), None)

    def sign(self, message: bytes) -> Signature:
        """Sign with the first private key; raises `ConfigurationError` without one."""
        name = self.signing_id
        if name is None:
            raise ConfigurationError(f"{VARIABLE} holds no private key to sign with")
        return Signature(name, self.private[name].sign(message))

    def verifies(self, key_id: str, signature: bytes, message: bytes) -> bool:
        """Whether the key of that id made this signature."""
        key = self.public.get(key_id)
        if key is None:
            return False
        try:
            key.verify(signature, message)
        except InvalidSignature:
            return False
        return True

    def public_entries(self) -> list[str]:
        """Return the ring as others may know it, `id:public:key` each."""
        return [
            f"{name}:{PUBLIC}{b64encode(key.public_bytes_raw()).decode()}"
            for name, key in self.public.items()
        ]


def signing_keys(settings: Settings) -> SigningKeys | None:
    """Return the configured keys, None if nothing is signed; raises `ConfigurationError`."""
    if settings.signing_keys is None:
        return None
    return SigningKeys.read(settings.signing_keys.get_secret_value().split(","))


def new_signing_key(name: str) -> str:
    """Return a fresh ring entry, `id:key`; raises ValueError if `name` is no key id."""
    if not _KEY_NAME.fullmatch(name):
        raise ValueError("a key id has 1 to 64 letters, digits, dots, dashes or underscores")
    return f"{name}:{b64encode(secrets.token_bytes(KEY_BYTES)).decode()}"


def _read_key(number: int, text: str) -> bytes:
    try:
        key = b64decode(text, validate=True)
    except ValueError:
        raise _unreadable(number, "holds no base64") from None
    if len(key) != KEY_BYTES:
        raise _unreadable(number, f"holds {len(key)} bytes instead of {KEY_BYTES}")
    return key


def _unreadable(number: int, fault: str) -> ConfigurationError:
    return ConfigurationError(
        f"{VARIABLE} cannot be read: entry {number} {fault};"
        " make keys with `dispatch keygen --signing`"
    )
