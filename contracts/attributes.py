"""Search attributes: what operators filter workflows by in the Temporal UI, whatever their kind."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from temporalio.common import (
    SearchAttributeKey,
    SearchAttributePair,
    SearchAttributeUpdate,
    TypedSearchAttributes,
)

from contracts.engine_limits import shown_keyword
from contracts.ticket import SHOWN, SHOWN_LATER, SUMMARY_ATTRIBUTE

UPDATED: Mapping[str, str] = {name: kind for name, (kind, _) in {**SHOWN, **SHOWN_LATER}.items()}
"""The attributes that a workflow of ours keeps true, with their type."""
SEARCH_ATTRIBUTES: Mapping[str, str] = {**UPDATED, SUMMARY_ATTRIBUTE: "Text"}
"""Every attribute that a workflow of ours may carry."""
_MAKERS: Mapping[str, Callable[[str], SearchAttributeKey[Any]]] = {
    "Int": SearchAttributeKey.for_int,
    "Keyword": SearchAttributeKey.for_keyword,
    "Text": SearchAttributeKey.for_text,
}
KEYS: Mapping[str, SearchAttributeKey[Any]] = {
    name: _MAKERS[kind](name) for name, kind in SEARCH_ATTRIBUTES.items()
}


def to_attributes(values: Mapping[str, str | int]) -> TypedSearchAttributes:
    """Return the values, by the name of their attribute, as the engine takes them."""
    return TypedSearchAttributes(
        [SearchAttributePair(KEYS[name], shown_keyword(value)) for name, value in values.items()]
    )


def from_attributes(attributes: TypedSearchAttributes) -> dict[str, str | int]:
    """Return what a workflow carries of ours and keeps true, by name."""
    return {pair.key.name: pair.value for pair in attributes if pair.key.name in UPDATED}


def updates(
    known: Mapping[str, str | int], values: Mapping[str, str | int]
) -> Sequence[SearchAttributeUpdate[Any]]:
    """Return the updates that turn `known` into `values`; none where they agree: each is dear."""
    shown = {name: shown_keyword(value) for name, value in values.items()}
    before = {name: shown_keyword(value) for name, value in known.items()}
    return [
        KEYS[name].value_set(shown[name]) if name in shown else KEYS[name].value_unset()
        for name in UPDATED
        if shown.get(name) != before.get(name)
    ]
