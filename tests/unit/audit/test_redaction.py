"""Personal data and secrets never stand in an audit payload."""

import hashlib
import hmac
from functools import partial
from typing import Any

from policy.audit import redaction
from policy.canonical import canonical_bytes, sha256_hex
from policy.sensitive import SENSITIVE

KEY, OTHER_KEY = b"k" * 32, b"o" * 32
redact = partial(redaction.redact, secret=KEY)


def hashed(value: Any) -> str:  # noqa: ANN401  any JSON value
    return f"redacted:{hmac.new(KEY, canonical_bytes(value), hashlib.sha256).hexdigest()}"


def test_who_lacks_the_key_cannot_try_every_phone_number() -> None:
    """Seven digits take a second to try; the answer must not be among the plain hashes."""
    shown = redact({"phone": "5550100"})["phone"]
    tried = {f"redacted:{sha256_hex(f'{number:07}')}" for number in range(5_550_000, 5_550_200)}
    assert shown not in tried
    assert shown != redaction.redact({"phone": "5550100"}, OTHER_KEY)["phone"]
    assert shown == redact({"phone": "5550100"})["phone"]


def test_rows_that_were_written_before_there_was_a_key_are_still_known() -> None:
    older = redaction.redact({"phone": "5550100"}, None)
    assert older == {"phone": f"redacted:{sha256_hex('5550100')}"}


def test_every_sensitive_word_is_found_anywhere_in_a_key_and_in_any_case() -> None:
    for word in SENSITIVE:
        assert redact({f"my_{word.upper()}_2": "x"}) == {f"my_{word.upper()}_2": hashed("x")}


def test_a_sensitive_name_is_found_among_many_whatever_they_are_made_of() -> None:
    for word in ("Phone", "my\u212aTO\u212aEN", "emaIl", "x\u0130phone", "\0email", "a\0dob"):
        among = {**{f"\u0130{n}": [n] for n in range(50)}, word: "1", "e\u0130mail": "2"}
        assert redact(among) == {**among, word: hashed("1")}
    for name in ("ema\u0130l", "access\u0130code", "pho\0ne"):
        assert redact({name: "1", "email": None}) == {name: "1", "email": None}


def test_null_stays_and_other_keys_are_untouched() -> None:
    value = {"email": None, "note": "a@b.c", "n": [1, {"m": True}]}
    assert redact(value) == value


def test_depth_does_not_protect() -> None:
    deep = {"a": [{"b": {"ssn": 5}}]}
    assert redact(deep) == {"a": [{"b": {"ssn": hashed(5)}}]}


def test_members_of_an_array_take_the_arrays_key() -> None:
    assert redact({"phones": ["1", None, ["2"], {"x": 1}]}) == {
        "phones": [hashed("1"), None, [hashed("2")], hashed({"x": 1})]
    }


def test_members_of_an_array_are_hashed_singly_however_many_there_are() -> None:
    assert redact({"phones": ["1"] * 999}) == {"phones": [hashed("1")] * 999}


def test_an_object_under_a_sensitive_key_is_hashed_as_a_whole() -> None:
    assert redact({"token": {"b": 1, "a": 2}}) == {"token": hashed({"a": 2, "b": 1})}
