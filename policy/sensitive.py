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


def count_sensitive(value: Any) -> int:  # noqa: ANN401  any JSON value
    """Return how many hashes redaction makes of a value at most: members of arrays count singly."""
    depths = list(levels(value))
    names = {name for depth in depths for name in depth.names}
    sensitive = {name for name in names if is_sensitive(name)}
    if not sensitive:
        return 0
    return sum(
        _count(each[name]) if type(each[name]) is list else 1
        for depth in depths
        for each in depth.objects
        for name in sensitive.intersection(each)
    )


def _count(array: list[Any]) -> int:
    return sum(len(inner) for level in levels(array) for inner in level.arrays)
