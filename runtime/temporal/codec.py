"""Encryption of everything that Temporal stores: AES-256-GCM under a ring of keys."""

import secrets
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

from contracts.sealing import SEALED_ENCODING, UNREADABLE_ENCODING
from runtime.key_ring import key_bytes, read_ring
from runtime.settings import Settings
from runtime.temporal.payloads import message_converter

VARIABLE: Final = "DISPATCH_PAYLOAD_KEYS"
NONCE_BYTES: Final = 12
ENCODING: Final = "encoding"
KEY_ID: Final = "encryption-key-id"


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
        return cls(read_ring(VARIABLE, text.split(","), lambda key: AESGCM(key_bytes(key))))

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


def _associated(name: str) -> bytes:
    """Return what the ciphertext is bound to besides its key: its purpose and the key's id."""
    return b"real-dispatch/payload/1\n" + name.encode()
