"""Canonical JSON: whatever way it takes, the bytes are those of RFC 8785."""

import rfc8785
from hypothesis import given
from hypothesis import strategies as st
from pydantic import JsonValue

from policy.canonical import SAFE_INTEGER, canonical_bytes

SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-SAFE_INTEGER, SAFE_INTEGER)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text()
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


@given(VALUES)
def test_the_bytes_are_those_of_rfc_8785(value: JsonValue) -> None:
    assert canonical_bytes(value) == rfc8785.dumps(value)


@given(st.text(st.characters(max_codepoint=0x7F)))
def test_every_ascii_text_is_escaped_as_in_rfc_8785(text: str) -> None:
    assert canonical_bytes({text: text}) == rfc8785.dumps({text: text})


def test_every_control_character_is_escaped_as_in_rfc_8785() -> None:
    text = "".join(map(chr, range(0x80)))

    assert canonical_bytes(text) == rfc8785.dumps(text)


@given(st.integers(min_value=SAFE_INTEGER + 1, max_value=2**200))
def test_an_integer_beyond_the_safe_range_counts_as_a_double(number: int) -> None:
    assert canonical_bytes([number, -number]) == rfc8785.dumps([float(number), -float(number)])
