"""Encryption of everything that Temporal stores: AES-256-GCM under a ring of keys."""

import re
import secrets
from base64 import b64decode, b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final, Self

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from temporalio.api.common.v1 import Payload
from temporalio.converter import (
    DataConverter,
    DefaultFailureConverterWithEncodedAttributes,
    PayloadCodec,
)

from contracts.names import SEALED_ENCODING, UNREADABLE_ENCODING
from runtime.environment import ConfigurationError
from runtime.payloads import message_converter
from runtime.settings import Settings

VARIABLE: Final = "DISPATCH_PAYLOAD_KEYS"
KEY_BYTES: Final = 32
NONCE_BYTES: Final = 12
ENCODING: Final = "encoding"
KEY_ID: Final = "encryption-key-id"
_KEY_NAME: Final = re.compile(r"[A-Za-z0-9._-]{1,64}")


class SealedPayloadError(Exception):
    """A sealed payload cannot be opened."""


class UnknownKeyError(SealedPayloadError):
    """The key that sealed the payload is not in the ring: add it and the work goes on."""


class TamperedPayloadError(SealedPayloadError):
    """The payload is not what was sealed under this key."""


@dataclass(frozen=True)
class KeyRing:
    """The keys by id. The first one seals, every one opens."""

    keys: Mapping[str, AESGCM]

    @classmethod
    def read(cls, text: str) -> Self:
        """Return the ring that `id:key,id:key` spells; keys are base64 of 32 bytes.

        Raises `ConfigurationError`, which never repeats a key.
        """
        keys: dict[str, AESGCM] = {}
        for number, entry in enumerate(text.split(","), start=1):
            name, separator, key = entry.strip().partition(":")
            if not separator or not _KEY_NAME.fullmatch(name):
                raise _unreadable(number, "does not begin with `key-id:`")
            if name in keys:
                raise _unreadable(number, "repeats the key id of an earlier one")
            keys[name] = AESGCM(_read_key(number, key))
        return cls(keys)

    def seal(self, payload: Payload) -> Payload:
        """Return the payload, encrypted with its metadata under the first key."""
        name, key = next(iter(self.keys.items()))
        nonce = secrets.token_bytes(NONCE_BYTES)
        sealed = nonce + key.encrypt(nonce, payload.SerializeToString(), _associated(name))
        return Payload(metadata={ENCODING: SEALED_ENCODING, KEY_ID: name.encode()}, data=sealed)

    def open(self, payload: Payload) -> Payload:
        """Return what was sealed; a payload that is not sealed is returned as it is.

        Raises `UnknownKeyError` or `TamperedPayloadError`.
        """
        if payload.metadata.get(ENCODING) != SEALED_ENCODING:
            return payload
        name = payload.metadata.get(KEY_ID, b"").decode(errors="replace")
        key = self.keys.get(name)
        if key is None:
            raise UnknownKeyError(f"no key {name!r} in {VARIABLE} opens this payload")
        nonce, sealed = payload.data[:NONCE_BYTES], payload.data[NONCE_BYTES:]
        try:
            return Payload.FromString(key.decrypt(nonce, sealed, _associated(name)))
        except (InvalidTag, ValueError):
            raise TamperedPayloadError(f"not what key {name!r} sealed") from None


class PayloadEncryption(PayloadCodec):
    """The codec of gateway and worker.

    A payload under a missing key stops its workflow task until the key is there: nothing is lost.
    A tampered one becomes unreadable: as a command it is recorded as denied, and blocks nobody.
    """

    def __init__(self, ring: KeyRing) -> None:
        self._ring = ring

    async def encode(self, payloads: Sequence[Payload]) -> list[Payload]:
        """Seal each payload."""
        return [self._ring.seal(payload) for payload in payloads]

    async def decode(self, payloads: Sequence[Payload]) -> list[Payload]:
        """Open each payload; raises `UnknownKeyError`."""
        return [self._opened(payload) for payload in payloads]

    def _opened(self, payload: Payload) -> Payload:
        try:
            return self._ring.open(payload)
        except TamperedPayloadError:
            return Payload(metadata={ENCODING: UNREADABLE_ENCODING})


def key_ring(settings: Settings) -> KeyRing | None:
    """Return the configured keys, None if encryption is off; raises `ConfigurationError`."""
    if settings.payload_keys is None:
        return None
    return KeyRing.read(settings.payload_keys.get_secret_value())


def data_converter(settings: Settings) -> DataConverter:
    """Return what every client and worker of this installation converts payloads with.

    With keys, the messages and stack traces of failures are encrypted too.
    """
    ring = key_ring(settings)
    if ring is None:
        return message_converter
    return replace(
        message_converter,
        payload_codec=PayloadEncryption(ring),
        failure_converter_class=DefaultFailureConverterWithEncodedAttributes,
    )


def new_key(name: str) -> str:
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
        f"{VARIABLE} cannot be read: entry {number} {fault}; make keys with `dispatch keygen`"
    )


def _associated(name: str) -> bytes:
    """Return what the ciphertext is bound to besides its key: its purpose and the key's id."""
    return b"real-dispatch/payload/1\n" + name.encode()
