"""The Merkle tree of the audit log: RFC 6962 hashes over a list that only ever grows.

A span `(start, end)` of leaves has one hash; a leaf is the span of one. Proofs are lists of spans.
"""

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

LEAF, NODE = b"\0", b"\1"
BLOCK = 256


class Span(NamedTuple):
    """The leaves from `start` up to, not including, `end`."""

    start: int
    end: int


class Tree:
    """Hashes of spans, from what is known of them: leaves, or whole subtrees.

    Raises `KeyError` for a span that rests on a leaf that is not known.
    """

    def __init__(self, known: Mapping[Span, bytes]) -> None:
        self._known = dict(known)

    def hash(self, span: Span) -> bytes:
        """Return the hash of a span that the tree has as a node; the empty one has one too."""
        found = self._known.get(span)
        if found is None:
            if span.end - span.start < 2:  # noqa: PLR2004  a leaf, or nothing
                return self._leafless(span)
            left, right = halves(span)
            found = self._known[span] = node_hash(self.hash(left), self.hash(right))
        return found

    def hashes(self, spans: Iterable[Span]) -> list[bytes]:
        """Return the hashes of several spans."""
        return [self.hash(span) for span in spans]

    def _leafless(self, span: Span) -> bytes:
        if span.start == span.end:
            return hashlib.sha256().digest()
        raise KeyError(span)


class Growth:
    """The right edge of a growing tree: enough to go on from, however large it is."""

    def __init__(self, size: int = 0, peaks: Sequence[bytes] = ()) -> None:
        self.size = size
        self.peaks = list(peaks)

    def add(self, leaf: bytes) -> None:
        """Append a leaf's hash."""
        size, merged = self.size, leaf
        while size & 1:
            merged = hashlib.sha256(NODE + self.peaks.pop() + merged).digest()
            size >>= 1
        self.peaks.append(merged)
        self.size += 1

    def root(self) -> bytes:
        """Return the root of the tree as it stands."""
        if not self.peaks:
            return hashlib.sha256().digest()
        merged = self.peaks[-1]
        for peak in reversed(self.peaks[:-1]):
            merged = node_hash(peak, merged)
        return merged


def leaf_hash(data: bytes) -> bytes:
    """Return the hash of a leaf."""
    return hashlib.sha256(LEAF + data).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """Return the hash of an inner node; it can be no leaf's."""
    return hashlib.sha256(NODE + left + right).digest()


def halves(span: Span) -> tuple[Span, Span]:
    """Return the two children of a span of at least two leaves: the left one is complete."""
    middle = span.start + (1 << ((span.end - span.start - 1).bit_length() - 1))
    return Span(span.start, middle), Span(middle, span.end)


def leaf_spans(start: int, leaves: Iterable[bytes]) -> dict[Span, bytes]:
    """Return the leaves' hashes by span, the first one at `start`."""
    return {Span(index, index + 1): leaf for index, leaf in enumerate(leaves, start)}


def peak_spans(size: int) -> list[Span]:
    """Return the complete subtrees, from the left, that a tree of this size consists of."""
    spans, start = [], 0
    for bit in reversed(range(size.bit_length())):
        if size >> bit & 1:
            spans.append(Span(start, start + (1 << bit)))
            start += 1 << bit
    return spans


def inclusion_spans(index: int, size: int) -> list[Span]:
    """Return the siblings on the way from a leaf to the root of a tree, the leaf's first."""
    siblings, span = [], Span(0, size)
    while span.end - span.start > 1:
        left, right = halves(span)
        inside, sibling = (left, right) if index < left.end else (right, left)
        siblings.append(sibling)
        span = inside
    return siblings[::-1]


def consistency_spans(old: int, new: int) -> list[Span]:
    """Return the nodes that show a tree of `new` leaves to begin with one of `old`."""
    if old in (0, new):
        return []
    siblings, span, whole = [], Span(0, new), True
    while span.end != old:
        left, right = halves(span)
        if old <= left.end:
            siblings.append(right)
            span = left
        else:
            siblings.append(left)
            span, whole = right, False
    return ([] if whole else [span]) + siblings[::-1]


def is_consistent(
    old: int, new: int, old_root: bytes, new_root: bytes, path: Sequence[bytes]
) -> bool:
    """Whether the path shows that the tree of `new` leaves begins with that of `old`."""
    if not 0 <= old <= new:
        return False
    spans = consistency_spans(old, new)
    if len(spans) != len(path):
        return False
    if old == new:
        return old_root == new_root
    if old == 0:
        return old_root == hashlib.sha256().digest()
    known = dict(zip(spans, path, strict=True))
    first = [span for span in peak_spans(old) if span not in known]
    if first:  # the old tree is one complete subtree, which the proof leaves out
        known[first[0]] = old_root
    return _rebuilt(Span(0, old), known) == old_root and _rebuilt(Span(0, new), known) == new_root


def stored_spans(old: int, new: int) -> Iterator[Span]:
    """Yield the spans of 256, 65,536, ... leaves that become complete on the way to `new`.

    They are kept, so that a proof reads a few hundred hashes of a log of any size.
    """
    length = BLOCK
    while length <= new:
        for end in range(old // length * length + length, new + 1, length):
            yield Span(end - length, end)
        length *= BLOCK


def wanted_spans(spans: Iterable[Span]) -> set[Span]:
    """Return the leaves and kept spans from which `Tree` can make the hashes of `spans`."""
    wanted: set[Span] = set()
    ahead = list(spans)
    while ahead:
        span = ahead.pop()
        length = span.end - span.start
        if length == 1 or _is_kept(span, length):
            wanted.add(span)
        elif length:
            ahead.extend(halves(span))
    return wanted


def _is_kept(span: Span, length: int) -> bool:
    while length % BLOCK == 0:
        length //= BLOCK
    return length == 1 and span.start % (span.end - span.start) == 0


def _rebuilt(span: Span, known: Mapping[Span, bytes]) -> bytes | None:
    try:
        return Tree(known).hash(span)
    except KeyError:
        return None
