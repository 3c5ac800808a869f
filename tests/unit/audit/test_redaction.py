"""Personal data and secrets never stand in an audit payload."""

from policy.audit.redaction import SENSITIVE, redact
from policy.canonical import sha256_hex


def hashed(value: object) -> str:
    return f"redacted:{sha256_hex(value)}"  # type: ignore[arg-type]  # any JSON value


def test_every_sensitive_word_is_found_anywhere_in_a_key_and_in_any_case() -> None:
    for word in SENSITIVE:
        assert redact({f"my_{word.upper()}_2": "x"}) == {f"my_{word.upper()}_2": hashed("x")}


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


def test_a_long_array_under_a_sensitive_key_is_hashed_as_a_whole() -> None:
    short, long = ["1"] * 100, ["1"] * 101
    assert redact({"phones": short}) == {"phones": [hashed("1")] * 100}
    assert redact({"phones": long}) == {"phones": hashed(long)}
    assert redact({"phones": [["1"] * 60, ["2"] * 60]}) == {
        "phones": hashed([["1"] * 60, ["2"] * 60])
    }


def test_an_object_under_a_sensitive_key_is_hashed_as_a_whole() -> None:
    assert redact({"token": {"b": 1, "a": 2}}) == {"token": hashed({"a": 2, "b": 1})}
