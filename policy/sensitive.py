"""Fields whose values never stand in the audit log (contract 13.3)."""

from collections.abc import Collection, Iterator
from itertools import islice
from typing import Any

from policy.json_levels import levels

SENSITIVE = ("phone", "email", "access_code", "password", "token", "secret", "ssn", "dob")
MOST_SENSITIVE = 1000
"""How many values of a body may be sensitive: each of them leaves a hash for ever."""
_LONGER = "\N{LATIN CAPITAL LETTER I WITH DOT ABOVE}"
"""The one letter whose small form is longer; none of its letters is in a word beside the others."""
_BETWEEN = "\0"


def is_sensitive(name: str) -> bool:
    """Whether a field is sensitive: its name, in lower case, contains one of the words."""
    lowered = name.lower()
    return any(word in lowered for word in SENSITIVE)


def sensitive_names(names: Collection[str], most: int | None = None) -> set[str]:
    """Return the sensitive ones of some names, or any `most` of them.

    All names are searched as one text: a body may have a hundred thousand of them.
    """
    text = _BETWEEN.join(("", *names, ""))
    if text.count(_BETWEEN) != len(names) + 1:  # one of them holds what is between them
        return set(islice(filter(is_sensitive, names), most))
    return set(islice(_found(text), most))


def has_too_many(value: Any) -> bool:  # noqa: ANN401  any JSON value
    """Whether redaction would leave more hashes of a value; members of arrays count singly.

    An empty array counts as one, so that the first names of a level are enough to refuse it.
    """
    left = MOST_SENSITIVE
    for depth in levels(value):
        names = sensitive_names(tuple(depth.names), MOST_SENSITIVE + 1)
        if not names:
            continue
        for each in depth.objects:
            for name in each.keys() & names:
                left -= _count(each[name]) or 1 if type(each[name]) is list else 1
                if left < 0:
                    return True
    return False


def _found(text: str) -> Iterator[str]:
    """Yield the names in a text that have a word in them, each of them once."""
    lowered = text.replace(_LONGER, "?").lower()
    seen: set[str] = set()
    for word in SENSITIVE:
        at = lowered.find(word)
        while at >= 0:
            end = text.index(_BETWEEN, at)
            name = text[text.rindex(_BETWEEN, 0, at) + 1 : end]
            if name not in seen:
                seen.add(name)
                yield name
            at = lowered.find(word, end)


def _count(array: list[Any]) -> int:
    return sum(len(inner) for level in levels(array) for inner in level.arrays)
