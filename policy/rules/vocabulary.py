"""Words that are free text where they are sent, and a blocked ticket where they are judged.

An incident type that no template knows, or an evidence key that no template asks for, is accepted
(contract 1.1); what it is near to is said in the answer, while there is time to mend it.
"""

from collections.abc import Collection, Iterable, Mapping
from difflib import get_close_matches
from typing import Any, TypeAlias

from policy.rules.bundle import Bundle

MOST_NEAR = 3
MOST_WARNINGS = 20
TEMPLATE_NOT_FOUND = "TEMPLATE_NOT_FOUND"
KEY_NOT_IN_TEMPLATE = "KEY_NOT_IN_TEMPLATE"
_ALIKE = 0.6

Note: TypeAlias = Mapping[str, Any]


def noted(body: Mapping[str, Any], warnings: Collection[Note]) -> dict[str, Any]:
    """Return an answer with its warnings, where there are any."""
    return {**body, "warnings": list(warnings)} if warnings else dict(body)


def type_warnings(bundle: Bundle, incident_type: str | None) -> tuple[Note, ...]:
    """Return the warning of a type without template: no ticket of it can be completed."""
    if incident_type is None or bundle.templates.find(incident_type) is not None:
        return ()
    return ({"code": TEMPLATE_NOT_FOUND, "near": near_types(bundle, incident_type)},)


def near_types(bundle: Bundle, incident_type: str) -> list[str]:
    """Return the known types that are spelt nearly like this one, the nearest first."""
    return _near(incident_type, bundle.templates.types)


def key_warnings(
    bundle: Bundle, incident_type: str | None, keys: Iterable[str | None]
) -> tuple[Note, ...]:
    """Return a warning for each key that its type's template lacks, but that looks like one of it.

    Further evidence may have any key, so that one that is like none of them is no mistake.
    """
    template = bundle.templates.find(incident_type)
    judged = bundle.templates.templates if template is None else (template,)
    known = {key for each in judged for key in each.keys}
    strange = list(dict.fromkeys(key for key in keys if key and key not in known))
    found = ((key, _near(key, sorted(known))) for key in strange[:MOST_WARNINGS])
    return tuple(
        {"code": KEY_NOT_IN_TEMPLATE, "key": key, "near": near} for key, near in found if near
    )


def _near(word: str, known: Collection[str]) -> list[str]:
    """Return the known words that are spelt nearly so, whatever their case and separators."""
    plain = {_plain(each): each for each in known}
    return [plain[each] for each in get_close_matches(_plain(word), plain, MOST_NEAR, _ALIKE)]


def _plain(word: str) -> str:
    return "_".join("".join(c if c.isalnum() else " " for c in word.casefold()).split())
