"""Signed webhooks: what is signed verifies, and nothing else does."""

import base64
import hashlib
import hmac
from datetime import UTC, datetime, timedelta, timezone

import pytest

from contracts.standard_webhooks import (
    ID,
    SIGNATURE,
    TIMESTAMP,
    check_secret,
    is_signed,
    new_secret,
    signed_headers,
)

NOW = datetime(2026, 11, 21, 9, 0, tzinfo=UTC)
BODY = b'{"type":"ticket.create"}'
SECRET = new_secret(bytes(range(32)))


def test_the_signature_is_the_one_of_the_scheme() -> None:
    headers = signed_headers([SECRET], "msg_1", NOW, BODY)
    signed = b"msg_1." + str(int(NOW.timestamp())).encode() + b"." + BODY
    digest = hmac.new(bytes(range(32)), signed, hashlib.sha256).digest()
    assert headers == {
        ID: "msg_1",
        TIMESTAMP: "1795251600",
        SIGNATURE: f"v1,{base64.b64encode(digest).decode()}",
    }


def test_either_secret_verifies_while_one_replaces_the_other() -> None:
    other = "a plain secret"
    headers = signed_headers([SECRET, other], "msg_1", NOW, BODY)
    assert len(headers[SIGNATURE].split()) == 2
    assert is_signed([SECRET], headers, NOW, BODY)
    assert is_signed([other], headers, NOW, BODY)
    assert not is_signed(["a third one"], headers, NOW, BODY)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        (ID, ""),
        (ID, "msg_2"),
        (TIMESTAMP, ""),
        (TIMESTAMP, "1795251601"),
        (TIMESTAMP, "-1"),
        (TIMESTAMP, "1795251600.9"),
        (TIMESTAMP, "1.7952516e9"),
        (TIMESTAMP, "²"),
        (TIMESTAMP, "9" * 5000),
        (SIGNATURE, ""),
        (SIGNATURE, "v1"),
        (SIGNATURE, "v1,"),
        (SIGNATURE, "v1,äöü"),
        (SIGNATURE, "v1a,AAAA"),
    ],
)
def test_a_changed_header_does_not_verify(name: str, value: str) -> None:
    headers = signed_headers([SECRET], "msg_1", NOW, BODY)
    assert is_signed([SECRET], headers, NOW, BODY)
    assert not is_signed([SECRET], {**headers, name: value}, NOW, BODY)


def test_a_secret_without_prefix_is_its_own_text() -> None:
    (_, _, signature) = signed_headers(["a plain secret"], "msg_1", NOW, BODY).values()
    signed = f"msg_1.{int(NOW.timestamp())}.".encode() + BODY
    digest = hmac.new(b"a plain secret", signed, hashlib.sha256).digest()
    assert signature == f"v1,{base64.b64encode(digest).decode()}"


def test_the_moment_is_the_same_in_every_time_zone() -> None:
    elsewhere = NOW.astimezone(timezone(timedelta(hours=2)))
    assert signed_headers([SECRET], "m", elsewhere, BODY) == signed_headers(
        [SECRET], "m", NOW, BODY
    )


def test_a_body_that_is_no_text_is_signed_like_any_other() -> None:
    headers = signed_headers([SECRET], "msg_1", NOW, b"\xff")
    assert is_signed([SECRET], headers, NOW, b"\xff")
    assert not is_signed([SECRET], headers, NOW, b"\xfe")


def test_a_good_signature_counts_beside_one_that_cannot_be_read() -> None:
    headers = signed_headers([SECRET], "msg_1", NOW, BODY)
    assert is_signed([SECRET], {**headers, SIGNATURE: f"v2 {headers[SIGNATURE]}"}, NOW, BODY)


@pytest.mark.parametrize("minutes", [-6, 6])
def test_an_old_message_and_one_from_the_future_do_not_verify(minutes: int) -> None:
    headers = signed_headers([SECRET], "msg_1", NOW + timedelta(minutes=minutes), BODY)
    assert not is_signed([SECRET], headers, NOW, BODY)


def test_a_changed_body_does_not_verify() -> None:
    headers = signed_headers([SECRET], "msg_1", NOW, BODY)
    assert not is_signed([SECRET], headers, NOW, BODY + b" ")


@pytest.mark.parametrize("secret", ["", "whsec_", "whsec_no base64"])
def test_what_cannot_be_a_secret_is_refused(secret: str) -> None:
    with pytest.raises(ValueError, match="webhook secret"):
        check_secret(secret)
