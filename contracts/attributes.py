"""The search attributes of a ticket's workflow: what operators filter by in the Temporal UI."""

from collections.abc import Mapping
from typing import Any

from temporalio.common import SearchAttributeKey, SearchAttributePair, TypedSearchAttributes

from contracts.ticket import SEARCH_ATTRIBUTES

KEYS: Mapping[str, SearchAttributeKey[Any]] = {
    name: SearchAttributeKey.for_int(name)
    if kind == "Int"
    else SearchAttributeKey.for_keyword(name)
    for name, kind in SEARCH_ATTRIBUTES.items()
}


def to_attributes(values: Mapping[str, str | int]) -> TypedSearchAttributes:
    """Return the values, by the name of their attribute, as the engine takes them."""
    return TypedSearchAttributes(
        [SearchAttributePair(KEYS[name], value) for name, value in values.items()]
    )


def from_attributes(attributes: TypedSearchAttributes) -> dict[str, str | int]:
    """Return what a workflow carries of ours, by name."""
    return {pair.key.name: pair.value for pair in attributes if pair.key.name in KEYS}
