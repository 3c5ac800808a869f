"""Payload encryption: what is sealed can be opened by its key alone, and by no other."""

import pytest
from pydantic import SecretStr
from temporalio.api.common.v1 import Payload
from temporalio.api.failure.v1 import Failure
from typer.testing import CliRunner

from cli.main import app
from runtime.environment import ConfigurationError
from runtime.key_ring import new_key
from runtime.settings import Settings, load_settings
from runtime.temporal.codec import (
    VARIABLE,
    KeyRing,
    PayloadEncryption,
    TamperedPayloadError,
    UnknownKeyError,
    data_converter,
)
from runtime.temporal.payloads import message_converter

SECRET = b'{"customer_phone":"+1-555-0100"}'
PLAIN = Payload(metadata={"encoding": b"json/plain"}, data=SECRET)
OLD, NEW = new_key("old"), new_key("new")


def changed(payload: Payload, position: int) -> Payload:
    """Return the payload with one bit of one byte turned."""
    data = bytearray(payload.data)
    data[position] ^= 1
    return Payload(metadata=dict(payload.metadata), data=bytes(data))


def test_what_is_sealed_opens_as_it_was_and_shows_nothing() -> None:
    ring = KeyRing.read(OLD)
    sealed = ring.seal(PLAIN)

    assert ring.open(sealed) == PLAIN
    assert SECRET not in sealed.SerializeToString()
    assert sealed.metadata == {"encoding": b"binary/encrypted", "encryption-key-id": b"old"}


def test_the_same_payload_is_never_sealed_alike_twice() -> None:
    ring = KeyRing.read(OLD)
    assert len({ring.seal(PLAIN).data for _ in range(50)}) == 50


def test_the_first_key_seals_and_every_key_opens() -> None:
    written_before = KeyRing.read(OLD).seal(PLAIN)
    prepared, rotated = KeyRing.read(f"{OLD},{NEW}"), KeyRing.read(f"{NEW}, {OLD}")

    assert rotated.open(written_before) == PLAIN
    assert rotated.seal(PLAIN).metadata["encryption-key-id"] == b"new"
    assert prepared.open(rotated.seal(PLAIN)) == PLAIN


def test_a_payload_from_before_encryption_is_read_as_it_is() -> None:
    assert KeyRing.read(OLD).open(PLAIN) == PLAIN


def test_every_changed_byte_is_detected() -> None:
    ring = KeyRing.read(OLD)
    sealed = ring.seal(PLAIN)
    for position in range(len(sealed.data)):
        with pytest.raises(TamperedPayloadError):
            ring.open(changed(sealed, position))


@pytest.mark.parametrize("length", [0, 5, 12, 27])
def test_a_cut_payload_is_detected(length: int) -> None:
    ring = KeyRing.read(OLD)
    sealed = ring.seal(PLAIN)
    with pytest.raises(TamperedPayloadError):
        ring.open(Payload(metadata=dict(sealed.metadata), data=sealed.data[:length]))


def test_another_keys_name_does_not_open_a_payload() -> None:
    ring = KeyRing.read(f"{OLD},{NEW}")
    sealed = ring.seal(PLAIN)
    renamed = Payload(metadata={**sealed.metadata, "encryption-key-id": b"new"}, data=sealed.data)
    with pytest.raises(TamperedPayloadError):
        ring.open(renamed)


def test_one_key_under_two_names_is_two_keys() -> None:
    same = OLD.replace("old:", "alias:")
    sealed = KeyRing.read(OLD).seal(PLAIN)
    renamed = Payload(metadata={**sealed.metadata, "encryption-key-id": b"alias"}, data=sealed.data)
    with pytest.raises(TamperedPayloadError):
        KeyRing.read(f"{OLD},{same}").open(renamed)


async def test_a_missing_key_stops_the_work_and_a_tampered_payload_does_not() -> None:
    codec = PayloadEncryption(KeyRing.read(OLD))
    sealed = KeyRing.read(OLD).seal(PLAIN)

    with pytest.raises(UnknownKeyError, match="'new'"):
        await codec.decode([sealed, KeyRing.read(NEW).seal(PLAIN)])
    opened, broken = await codec.decode([sealed, changed(sealed, 20)])
    assert (opened, dict(broken.metadata)) == (PLAIN, {"encoding": b"binary/unreadable"})


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "entry 1"),
        ("justakey", "entry 1"),
        (OLD.removeprefix("old"), "entry 1"),
        (f"{OLD},", "entry 2"),
        (f"{OLD},{OLD}", "repeats"),
        ("k:not base64!", "no base64"),
        ("k:c2hvcnQ=", "5 bytes instead of 32"),
        ("spaced id:" + OLD.removeprefix("old:"), "entry 1"),
    ],
    ids=[
        "nothing",
        "bare",
        "nameless",
        "trailing-comma",
        "repeated",
        "no-base64",
        "short",
        "spaced-id",
    ],
)
def test_a_ring_that_cannot_be_read_is_refused_without_showing_it(text: str, reason: str) -> None:
    with pytest.raises(ConfigurationError, match=VARIABLE) as failure:
        KeyRing.read(text)
    assert reason in str(failure.value)
    assert OLD.removeprefix("old:") not in str(failure.value)
    assert "not base64!" not in str(failure.value)


def test_unreadable_keys_never_fall_back_to_plaintext() -> None:
    settings, warnings = load_settings({VARIABLE: "k:broken"})
    assert warnings == []
    with pytest.raises(ConfigurationError):
        data_converter(settings)


def test_without_keys_the_converter_is_the_plain_one() -> None:
    assert data_converter(Settings()) is message_converter


async def test_failures_are_sealed_with_their_messages() -> None:
    converter = data_converter(Settings(payload_keys=SecretStr(OLD)))
    failure = Failure()
    await converter.encode_failure(RuntimeError("phone +1-555-0100 is taken"), failure)
    assert b"555-0100" not in failure.SerializeToString()


def test_keygen_makes_a_ring_entry() -> None:
    made = [CliRunner().invoke(app, ["keygen"]).stdout.strip() for _ in range(2)]
    assert len(KeyRing.read(",".join(made)).keys) == 2
    named = CliRunner().invoke(app, ["keygen", "--id", "2026-q4"])
    assert named.stdout.startswith("2026-q4:")


def test_keygen_refuses_an_id_that_would_break_the_list() -> None:
    answer = CliRunner().invoke(app, ["keygen", "--id", "a,b"])
    assert answer.exit_code == 1
    assert "key id" in answer.output
