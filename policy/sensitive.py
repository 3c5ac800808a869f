"""Fields whose values never stand in the audit log (contract 13.3)."""

import re
from typing import Any

from policy.json_levels import levels

SENSITIVE = ("phone", "email", "access_code", "password", "token", "secret", "ssn", "dob")
_NAMED = re.compile("|".join(SENSITIVE))
MOST_SENSITIVE = 1000
"""How many values of a body may be sensitive: each of them leaves a hash for ever."""


def is_sensitive(name: str) -> bool:
    """Whether a field is sensitive: its name, in lower case, contains one of the words."""
    return _NAMED.search(name.lower()) is not None


def has_too_many(value: Any) -> bool:  # noqa: ANN401  any JSON value
    """Whether redaction would leave more hashes of a value; members of arrays count singly."""
    left = MOST_SENSITIVE
    for depth in levels(value):
        names = {name for name in set(depth.names) if is_sensitive(name)}
        if not names:
            continue
        for each in depth.objects:
            for name in names.intersection(each):
                left -= _count(each[name]) if type(each[name]) is list else 1
                if left < 0:
                    return True
    return False


def _count(array: list[Any]) -> int:
    return sum(len(inner) for level in levels(array) for inner in level.arrays)
