"""Bodies are I-JSON or refused, and numbers mean what JavaScript reads (contract 2.1)."""

import json
from contextlib import suppress
from typing import Any

import orjson
import pytest
import rfc8785
from hypothesis import given
from hypothesis import strategies as st
from pydantic import JsonValue

from api.wire.errors import InvalidJsonError
from api.wire.ijson import parse_body, parse_json
from policy.codes import Code
from policy.command.payload import content_fault

JSON = st.recursive(
    st.none() | st.booleans() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)


@pytest.mark.parametrize("raw", [b"", b" ", b" \t\r\n", b"null", b" null\n"])
def test_an_empty_body_counts_as_an_empty_object(raw: bytes) -> None:
    assert parse_body(raw) == {}


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        (b"{}", {}),
        (b"[]", []),
        (b'"text"', "text"),
        (b"7", 7),
        (b"false", False),
        (b'{"a":{"b":[null,true,1.5,"x"]}}', {"a": {"b": [None, True, 1.5, "x"]}}),
        (b'{"a":1,"b":{"a":1}}', {"a": 1, "b": {"a": 1}}),
        ('{"é":"😀"}'.encode(), {"é": "😀"}),
        (b'"\\ud83d\\ude00 \\u0000 \\/"', "😀 \0 /"),
        (b'"\\\\ud800"', "\\ud800"),
    ],
)
def test_json_is_read(raw: bytes, expected: JsonValue) -> None:
    assert parse_body(raw) == expected


@pytest.mark.parametrize(
    "raw",
    [
        b"{",
        b"{}{}",
        b"{'a':1}",
        b'{"a":1,}',
        b"[1,]",
        b"// x\n{}",
        b"nul",
        b"True",
        b"01",
        b"+1",
        b".5",
        b"1.",
        b"0x10",
        b"NaN",
        b"[Infinity]",
        b'{"a":-Infinity}',
        b"1e400",
        b"-1e400",
        b"1" * 400,
        b"1" * 5000,
        b'"\x01"',
        b'"a\nb"',
        b'"\\x"',
        b'"\\ud800"',
        b'"\\uDFFF"',
        b'["\\ude00\\ud83d"]',
        b'{"\\ud800":1}',
        b'"\xff"',
        b'"\xed\xa0\x80"',
        b'"\xc0\x80"',
        b"\xef\xbb\xbf{}",
        '{"a":1}'.encode("utf-16"),
        b'{"a":1,"a":1}',
        b'{"a":1,"\\u0061":2}',
        b'[{"b":{"":1,"":2}}]',
        b"[" * 101 + b"]" * 101,
        b'{"a":' * 101 + b"1" + b"}" * 101,
        b"[" * 100_000,
        b"[" * 100_000 + b"]" * 100_000,
    ],
)
def test_what_is_not_i_json_is_refused(raw: bytes) -> None:
    with pytest.raises(InvalidJsonError) as caught:
        parse_body(raw)
    assert (caught.value.code, caught.value.status) == (Code.INVALID_JSON, 400)


def named(count: int) -> bytes:
    """Return an object of so many members."""
    return orjson.dumps({f"{number:x}": 0 for number in range(count)})


@pytest.mark.parametrize("raw", [b"[" * 100 + b"]" * 100, b"[" + b"[]," * 500 + b"[]]"])
def test_a_hundred_levels_are_accepted(raw: bytes) -> None:
    assert parse_json(raw) == json.loads(raw)


@pytest.mark.parametrize(
    ("accepted", "refused"),
    [
        (b'{"%s":1}' % (b"n" * 1000), b'{"%s":1}' % (b"n" * 1001)),
        (b'{"%s":1}' % ("\u00e9" * 1000).encode(), b'[{"%s":1}]' % (b"n" * 1001)),
        (b"[%s0]" % (b"0," * 199_999), b"[%s0]" % (b"0," * 200_000)),
        (b"[%s[]]" % (b"[]," * 199_999), b'{"a":[%s[]]}' % (b"[]," * 199_999)),
        (b"[%s[0]]" % (b"[0]," * 9_998), b"[%s[0]]" % (b'{"":0},' * 9_999)),
        (b"[%s9007199254740991]" % (b"0.5," * 9_999), b"[%s1e9]" % (b"0.5," * 9_999)),
        (b"[%s9007199254740992]" % (b"1.0," * 9_998), b"[%s0]" % (b"9007199254740992," * 10_000)),
        (named(50_000), named(50_001)),
    ],
)
def test_names_and_the_numbers_of_members_and_of_what_has_any_are_limited(
    accepted: bytes, refused: bytes
) -> None:
    assert parse_json(accepted) == json.loads(accepted)
    with pytest.raises(InvalidJsonError):
        parse_json(refused)


@pytest.mark.parametrize(
    ("raw", "is_refused"),
    [
        (rb'{"a":"\u003a"}', False),
        (rb'{"a":"\\u003a","b":"\\\u003A"}', False),
        (rb'{"a\u003a":":","b":"::"}', False),
        (rb'{"a":"\u003a","a":1}', True),
        (rb'{"a":"::","a":"\u003a\\\u003a\u003a"}', True),
        (rb'{"a":1,"a":"\\u003a"}', True),
        (rb'[{"b":"\u003a"},{"\u003a":1,":":2}]', True),
        (rb'{"a":"\\u003a","a":"\\\\u003a"}', True),
    ],
)
def test_no_colon_in_a_text_hides_an_equal_name(raw: bytes, *, is_refused: bool) -> None:
    if is_refused:
        with pytest.raises(InvalidJsonError):
            parse_json(raw)
    else:
        assert parse_json(raw) == json.loads(raw)


@pytest.mark.parametrize(
    ("raw", "canonical"),
    [
        (b"9007199254740991", b"9007199254740991"),
        (b"-9007199254740991", b"-9007199254740991"),
        (b"9007199254740993", b"9007199254740992"),
        (b"-9007199254740993", b"-9007199254740992"),
        (b"12345678901234567890123", b"1.2345678901234568e+22"),
        (b"18446744073709551616", b"18446744073709552000"),
        (b"12.0", b"12"),
        (b"1E2", b"100"),
        (b"-0", b"0"),
        (b"-0.0", b"0"),
        (b"1e-400", b"0"),
        (b"0.1", b"0.1"),
    ],
)
def test_numbers_have_one_canonical_form_as_in_javascript(raw: bytes, canonical: bytes) -> None:
    assert rfc8785.dumps(parse_json(raw)) == canonical


@given(JSON)
def test_whatever_is_written_as_json_is_read_back_and_can_be_hashed(value: JsonValue) -> None:
    read = parse_json(json.dumps(value).encode())
    assert read == value
    assert parse_json(rfc8785.dumps(read)) == read


@given(st.binary() | st.text().map(str.encode))
def test_any_bytes_are_read_or_refused(raw: bytes) -> None:
    with suppress(InvalidJsonError):
        rfc8785.dumps(parse_body(raw))


@pytest.mark.parametrize(
    ("value", "pointer"),
    [
        ("\0", ""),
        ({"a": "x\0"}, "/a"),
        ({"a": ["", {"b/c~": "\0"}]}, "/a/1/b~1c~0"),
        ({"a": {"k\0": 1}}, "/a/k\ufffd"),
        ({"a": ["x", 0, None, True, {}]}, None),
        (0, None),
    ],
)
def test_the_first_nul_is_pointed_at(value: Any, pointer: str | None) -> None:  # noqa: ANN401
    fault = None if pointer is None else (pointer, "must not contain U+0000")
    assert content_fault(value) == fault
