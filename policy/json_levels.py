"""Walking a JSON value level by level: linear, without recursion, in loops over whole levels."""

from collections.abc import Iterator, Sequence
from itertools import chain
from typing import Any, NamedTuple

SAFE_INTEGER = 2**53 - 1
_AS_ZEROS = bytes.maketrans(b"123456789", b"000000000")
_LARGE = b"0" * len(str(SAFE_INTEGER))
ARRAYS = frozenset({list, tuple})
CONTAINERS = ARRAYS | {dict}


class Level(NamedTuple):
    """Everything that stands at one depth, its types, and the containers it stands in."""

    objects: Sequence[dict[str, Any]]
    arrays: Sequence[list[Any]]
    members: Sequence[Any]
    kinds: set[type]

    @property
    def names(self) -> Iterator[str]:
        """The names of the members that have one."""
        return chain.from_iterable(self.objects)

    @property
    def unsafe(self) -> bool:
        """Whether there is an integer that not every reader of JSON keeps as it is."""
        if int not in self.kinds:
            return False
        integers = [each for each in self.members if type(each) is int]
        return max(integers) > SAFE_INTEGER or min(integers) < -SAFE_INTEGER


def may_be_unsafe(text: bytes) -> bool:
    """Whether a JSON text may have an integer that not every reader of JSON keeps as it is."""
    return _LARGE in text.translate(_AS_ZEROS)


def levels(value: Any) -> Iterator[Level]:  # noqa: ANN401  any JSON value
    """Yield the levels of a value: first itself, then what is in it; tuples count as arrays."""
    objects: Sequence[dict[str, Any]] = ()
    arrays: Sequence[list[Any]] = ()
    members: Sequence[Any] = (value,)
    while members:
        kinds = set(map(type, members))
        yield Level(objects, arrays, members, kinds)
        if kinds.isdisjoint(CONTAINERS):
            return
        filled = [each for each in members if type(each) in CONTAINERS and each]
        objects = [each for each in filled if type(each) is dict]
        arrays = [each for each in filled if type(each) in ARRAYS]
        inside = map(dict.values, objects)
        members = list(chain(chain.from_iterable(inside), chain.from_iterable(arrays)))
