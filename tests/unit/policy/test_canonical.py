"""Canonical JSON: whatever way it takes, the bytes are those of RFC 8785."""

from typing import Any

import pytest
import rfc8785
from hypothesis import given
from hypothesis import strategies as st
from pydantic import JsonValue

from policy.canonical import canonical_bytes
from policy.json_levels import SAFE_INTEGER

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


@given(st.dictionaries(st.text(st.characters(min_codepoint=0xE000)), st.floats(0, 1), max_size=6))
def test_names_are_ordered_by_their_utf_16(value: dict[str, JsonValue]) -> None:
    assert canonical_bytes([value]) == rfc8785.dumps([value])


@given(st.integers(-(10**17), 10**17), st.integers(-28, 24))
def test_doubles_of_every_size_are_written_as_in_javascript(digits: int, exponent: int) -> None:
    number = float(f"{digits}e{exponent}")

    assert canonical_bytes(number) == rfc8785.dumps(number)


@given(st.lists(st.sampled_from((0, 1, -1, 0.0, -0.0, 1.0, -1.0, 1e15, 10**15, 2.5, True, None))))
def test_equal_numbers_of_two_kinds_are_written_alike(values: list[JsonValue]) -> None:
    assert canonical_bytes([*values, {"a": values}]) == rfc8785.dumps([*values, {"a": values}])


@pytest.mark.parametrize("foreign", [float("nan"), [float("-inf")], {"a": 1j}, [{1}]])
def test_what_is_no_json_has_no_canonical_form(foreign: Any) -> None:  # noqa: ANN401
    with pytest.raises(ValueError, match="no canonical form"):
        canonical_bytes(foreign)


@given(st.integers(min_value=SAFE_INTEGER + 1, max_value=2**200))
def test_an_integer_beyond_the_safe_range_counts_as_a_double(number: int) -> None:
    assert canonical_bytes([number, -number]) == rfc8785.dumps([float(number), -float(number)])
