"""The Merkle tree agrees with its definition, for every size and every place in it."""

import hashlib
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policy.audit.merkle import (
    Growth,
    Span,
    Tree,
    consistency_spans,
    inclusion_spans,
    is_consistent,
    leaf_hash,
    leaf_spans,
    peak_spans,
    stored_spans,
    wanted_spans,
)
from policy.dossier.verifier import root_of_path

SIZES = range(1, 40)
LEAVES = [leaf_hash(bytes([number])) for number in range(64)]


def defined_root(leaves: Sequence[bytes]) -> bytes:
    """Return the root as RFC 6962 section 2.1 defines it."""
    if len(leaves) == 1:
        return leaves[0]
    k = 1
    while 2 * k < len(leaves):
        k *= 2
    children = defined_root(leaves[:k]) + defined_root(leaves[k:])
    return hashlib.sha256(b"\1" + children).digest()


def tree_of(size: int) -> Tree:
    return Tree(leaf_spans(0, LEAVES[:size]))


def flipped(digest: bytes) -> bytes:
    return bytes([digest[0] ^ 1]) + digest[1:]


@pytest.mark.parametrize("size", SIZES)
def test_the_root_is_the_defined_one_however_the_tree_was_grown(size: int) -> None:
    grown = Growth()
    for leaf in LEAVES[:size]:
        grown.add(leaf)
    defined = defined_root(LEAVES[:size])
    assert tree_of(size).hash(Span(0, size)) == defined
    assert grown.root() == defined
    assert grown.peaks == tree_of(size).hashes(peak_spans(size))


def test_the_empty_tree_has_the_hash_of_nothing() -> None:
    assert Growth().root() == Tree({}).hash(Span(0, 0)) == hashlib.sha256(b"").digest()


@pytest.mark.parametrize("size", SIZES)
def test_every_leaf_is_proven_and_nothing_else_is(size: int) -> None:
    root = defined_root(LEAVES[:size])
    for index in range(size):
        path = tree_of(size).hashes(inclusion_spans(index, size))
        assert root_of_path(LEAVES[index], index, size, path) == root
        assert root_of_path(LEAVES[63], index, size, path) != root
        assert root_of_path(LEAVES[index], size, size, path) is None
        assert root_of_path(LEAVES[index], index, size, [*path, root]) is None
        for place, digest in enumerate(path):
            broken = [*path[:place], flipped(digest), *path[place + 1 :]]
            assert root_of_path(LEAVES[index], index, size, broken) != root


@pytest.mark.parametrize("new", SIZES)
def test_a_longer_log_is_proven_to_begin_with_each_shorter_one(new: int) -> None:
    new_root = defined_root(LEAVES[:new])
    for old in range(1, new + 1):
        old_root = defined_root(LEAVES[:old])
        path = tree_of(new).hashes(consistency_spans(old, new))
        assert is_consistent(old, new, old_root, new_root, path)
        assert not is_consistent(old, new, flipped(old_root), new_root, path)
        assert not is_consistent(old, new, old_root, flipped(new_root), path)
        assert not is_consistent(new + 1, new, old_root, new_root, path)
        for place, digest in enumerate(path):
            broken = [*path[:place], flipped(digest), *path[place + 1 :]]
            assert not is_consistent(old, new, old_root, new_root, broken)


def test_the_empty_log_is_a_beginning_of_every_log() -> None:
    nothing = hashlib.sha256().digest()
    assert is_consistent(0, 3, nothing, defined_root(LEAVES[:3]), [])
    assert not is_consistent(0, 3, LEAVES[0], defined_root(LEAVES[:3]), [])


@given(st.integers(1, 200_000), st.data())
def test_proofs_of_a_long_log_rest_on_few_kept_hashes(size: int, data: st.DataObject) -> None:
    index = data.draw(st.integers(0, size - 1))
    old = data.draw(st.integers(1, size))
    kept = set(stored_spans(0, size))
    spans = inclusion_spans(index, size) + consistency_spans(old, size)
    wanted = wanted_spans(spans)
    assert all(span.end - span.start == 1 or span in kept for span in wanted)
    assert len(wanted) <= 6 * 256
    Tree(dict.fromkeys(wanted, b"")).hashes(spans)  # nothing else is needed


@given(st.integers(0, 70_000), st.integers(0, 70_000))
def test_spans_are_kept_once_whatever_the_steps(one: int, other: int) -> None:
    middle, end = sorted((one, other))
    steps = [*stored_spans(0, middle), *stored_spans(middle, end)]
    assert sorted(steps) == sorted(stored_spans(0, end))
