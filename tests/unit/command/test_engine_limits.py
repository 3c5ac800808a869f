"""What is sent to the engine stays under its limits, whatever the text is made of."""

import json
from uuid import uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.attributes import from_attributes, to_attributes, updates
from contracts.engine_limits import (
    CARRIED_BYTES,
    CARRIED_COMMANDS,
    ENVELOPE_BYTES,
    HEAD_BYTES,
    ID_BYTES,
    INLINE_BYTES,
    KEYWORD_CHARACTERS,
    PAYLOAD_BYTES,
    SEARCH_ATTRIBUTE_BYTES,
    SUMMARY_BYTES,
    clipped,
    shown_summary,
)
from policy.command.message import Subject
from policy.rules.bundle import load_bundle
from policy.values import NAME_LIMIT
from runtime.settings import load_settings
from runtime.temporal.codec import data_converter

ALPHABETS = ("x", "\N{GRINNING FACE}", "\x01", '"', "\\", "\u00e9")
KEYS = "a-key-id-of-some-length:" + "A" * 43 + "="


@given(st.text(), st.integers(2, 300))
def test_a_clipped_text_is_the_longest_beginning_that_fits(text: str, limit: int) -> None:
    shown = clipped(text, limit)
    assert text.startswith(shown)
    assert len(json.dumps(shown)) <= limit
    if shown != text:
        assert len(json.dumps(text[: len(shown) + 1])) > limit


@pytest.mark.parametrize("character", ALPHABETS)
def test_the_longest_incident_type_fits_a_search_attribute_and_changes_only_once(
    character: str,
) -> None:
    values: dict[str, str | int] = {"DispatchIncidentType": character * NAME_LIMIT}
    sent = to_attributes(values)
    (pair,) = sent
    assert len(json.dumps(pair.value)) <= SEARCH_ATTRIBUTE_BYTES
    assert len(pair.value) <= KEYWORD_CHARACTERS
    assert updates(from_attributes(sent), values) == []
    (update,) = updates({}, values)
    assert update.value == pair.value


@pytest.mark.parametrize("keys", ["", KEYS])
@pytest.mark.parametrize("character", ALPHABETS)
async def test_the_longest_summary_fits_with_its_envelope_also_when_it_is_sealed(
    character: str, keys: str
) -> None:
    environ = {"DISPATCH_DATABASE_URL": "postgres://h/d", "DISPATCH_PAYLOAD_KEYS": keys}
    settings, _ = load_settings({name: text for name, text in environ.items() if text})
    (payload,) = await data_converter(settings).encode([shown_summary(character * 10_000)])
    assert payload.ByteSize() <= SUMMARY_BYTES
    assert ENVELOPE_BYTES < SUMMARY_BYTES


def test_ids_names_and_a_full_inbox_fit() -> None:
    ids = [Subject.of_ticket("t" * 63, None), Subject.of_ticket("t", uuid4())]
    names = [*load_bundle().tools, *(subject.workflow_id for subject in ids)]
    assert max(len(name.encode()) for name in names) <= ID_BYTES
    assert CARRIED_COMMANDS * (HEAD_BYTES + INLINE_BYTES) <= CARRIED_BYTES < PAYLOAD_BYTES
