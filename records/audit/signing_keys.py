"""The Ed25519 keys that sign checkpoints and dossiers: a ring, so that keys can change."""

from base64 import b64encode
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final, NamedTuple, Self

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from pydantic import SecretStr

from runtime.environment import ConfigurationError
from runtime.key_ring import key_bytes, read_ring
from runtime.settings import Settings

VARIABLE: Final = "DISPATCH_SIGNING_KEYS"
DOSSIERS: Final = "DISPATCH_DOSSIER_KEYS"
PUBLIC: Final = "public:"


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
    def read(cls, entries: Iterable[str], variable: str = VARIABLE) -> Self:
        """Return the ring of `id:key` and, for keys that only verify, `id:public:key` entries.

        Keys are base64 of 32 bytes. Raises `ConfigurationError`, which never repeats a key.
        """
        keys = read_ring(variable, entries, _key)
        private = {name: key for name, key in keys.items() if isinstance(key, Ed25519PrivateKey)}
        public = {
            name: key.public_key() if isinstance(key, Ed25519PrivateKey) else key
            for name, key in keys.items()
        }
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
    """Return the keys of checkpoints, None if none are signed; raises `ConfigurationError`."""
    return _read(settings.signing_keys, VARIABLE)


def dossier_keys(settings: Settings) -> SigningKeys | None:
    """Return the keys of dossiers, else those of checkpoints; raises `ConfigurationError`.

    They are apart so that a gateway, which signs dossiers, cannot sign a state of the audit log.
    """
    return _read(settings.dossier_keys, DOSSIERS) or signing_keys(settings)


def public_keys(settings: Settings) -> list[str]:
    """Return every configured key as others may know it; raises `ConfigurationError`."""
    rings = (signing_keys(settings), dossier_keys(settings))
    return list(dict.fromkeys(entry for ring in rings if ring for entry in ring.public_entries()))


def _read(keys: SecretStr | None, variable: str) -> SigningKeys | None:
    return SigningKeys.read(keys.get_secret_value().split(","), variable) if keys else None


def _key(text: str) -> Ed25519PrivateKey | Ed25519PublicKey:
    material = key_bytes(text.removeprefix(PUBLIC))
    if text.startswith(PUBLIC):
        return Ed25519PublicKey.from_public_bytes(material)
    return Ed25519PrivateKey.from_private_bytes(material)
