"""Search attributes: what operators filter workflows by in the Temporal UI, whatever their kind."""

from collections.abc import Mapping, Sequence
from typing import Any

from temporalio.common import (
    SearchAttributeKey,
    SearchAttributePair,
    SearchAttributeUpdate,
    TypedSearchAttributes,
)

from contracts.engine_limits import shown_keyword
from contracts.ticket import SHOWN

SEARCH_ATTRIBUTES: Mapping[str, str] = {name: kind for name, (kind, _) in SHOWN.items()}
"""Every attribute that a workflow of ours may carry, with its type."""
KEYS: Mapping[str, SearchAttributeKey[Any]] = {
    name: SearchAttributeKey.for_int(name)
    if kind == "Int"
    else SearchAttributeKey.for_keyword(name)
    for name, kind in SEARCH_ATTRIBUTES.items()
}


def to_attributes(values: Mapping[str, str | int]) -> TypedSearchAttributes:
    """Return the values, by the name of their attribute, as the engine takes them."""
    return TypedSearchAttributes(
        [SearchAttributePair(KEYS[name], shown_keyword(value)) for name, value in values.items()]
    )


def from_attributes(attributes: TypedSearchAttributes) -> dict[str, str | int]:
    """Return what a workflow carries of ours, by name."""
    return {pair.key.name: pair.value for pair in attributes if pair.key.name in KEYS}


def updates(
    known: Mapping[str, str | int], values: Mapping[str, str | int]
) -> Sequence[SearchAttributeUpdate[Any]]:
    """Return the updates that turn `known` into `values`; none where they agree: each is dear."""
    shown = {name: shown_keyword(value) for name, value in values.items()}
    before = {name: shown_keyword(value) for name, value in known.items()}
    return [
        key.value_set(shown[name]) if name in shown else key.value_unset()
        for name, key in KEYS.items()
        if shown.get(name) != before.get(name)
    ]
