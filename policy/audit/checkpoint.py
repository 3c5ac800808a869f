"""Checkpoints of the audit log: what is signed, how they follow each other, what betrays them."""

from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from pydantic import JsonValue

from policy.audit.chain import GENESIS, Fault
from policy.audit.merkle import (
    Growth,
    Span,
    Tree,
    consistency_spans,
    is_consistent,
    leaf_hash,
    leaf_spans,
    peak_spans,
    stored_spans,
)
from policy.canonical import canonical_bytes, sha256_hex
from policy.model import Frozen
from policy.values import format_datetime

FORMAT = "real-dispatch/checkpoint/1"
TABLE = "proof.checkpoints"
OBJECT_PREFIX = "audit/checkpoints/"
Verifies = Callable[[str, bytes, bytes], bool]
"""Whether (key id, signature, message) belong together."""


class Checkpoint(Frozen):
    """The state of the log at one instant. `previous` is the hash of the checkpoint before it."""

    number: int
    tree_size: int
    root_hash: str
    previous: str
    created_at: datetime
    key_id: str

    def body(self) -> dict[str, JsonValue]:
        """Return what is signed, as JSON."""
        return {
            "format": FORMAT,
            "number": self.number,
            "tree_size": self.tree_size,
            "root_hash": self.root_hash,
            "previous": self.previous,
            "created_at": format_datetime(self.created_at),
            "key_id": self.key_id,
        }

    @property
    def message(self) -> bytes:
        """The bytes that are signed."""
        return canonical_bytes(self.body())

    @property
    def sha256(self) -> str:
        """What the next checkpoint refers to."""
        return sha256_hex(self.body())


class SignedCheckpoint(Frozen):
    """A checkpoint with its signature and the proof that it extends the one before it."""

    checkpoint: Checkpoint
    signature: str
    consistency: tuple[str, ...]

    def document(self) -> bytes:
        """Return the canonical JSON that is kept in the object store."""
        return canonical_bytes(self.shape())

    def shape(self) -> dict[str, JsonValue]:
        """Return the document as JSON."""
        return {
            "checkpoint": self.checkpoint.body(),
            "signature": self.signature,
            "consistency": list(self.consistency),
        }


class Extension(NamedTuple):
    """The log with new rows: what the next checkpoint says and what proofs will be made of."""

    tree_size: int
    root: bytes
    peaks: list[bytes]
    consistency: list[bytes]
    kept: list[tuple[Span, bytes]]


def extend(size: int, peaks: Sequence[bytes], row_hashes: Sequence[bytes]) -> Extension:
    """Return the log of `size` rows with further ones, from its peaks alone."""
    total = size + len(row_hashes)
    leaves = leaf_spans(size, map(leaf_hash, row_hashes))
    tree = Tree(dict(zip(peak_spans(size), peaks, strict=True)) | leaves)
    return Extension(
        tree_size=total,
        root=tree.hash(Span(0, total)),
        peaks=tree.hashes(peak_spans(total)),
        consistency=tree.hashes(consistency_spans(size, total)),
        kept=[(span, tree.hash(span)) for span in stored_spans(size, total)],
    )


class LogCheck:
    """Follows the log row by row, and holds every checkpoint against it."""

    def __init__(self, verifies: Verifies, checkpoints: Sequence[SignedCheckpoint]) -> None:
        self._verifies = verifies
        self._ahead = iter(checkpoints)
        self._next = next(self._ahead, None)
        self._last: Checkpoint | None = None
        self._grown = Growth()
        self._broken = False

    @property
    def size(self) -> int:
        """How many rows were seen."""
        return self._grown.size

    def add(self, row_hash: bytes) -> list[Fault]:
        """Return the faults that the next row of the log shows."""
        self._grown.add(leaf_hash(row_hash))
        following = self._next
        if following is None or following.checkpoint.tree_size > self._grown.size:
            return []
        return list(self._reached(following))

    def finish(self) -> list[Fault]:
        """Return what is wrong with the end of the log."""
        following = self._next
        if following is None:
            unsigned = self._grown.size - (self._last.tree_size if self._last else 0)
            problem = f"the last {unsigned} rows of the log are covered by none"
            return [fault_of(None, problem)] if unsigned else []
        number, size = following.checkpoint.number, following.checkpoint.tree_size
        return [fault_of(number, f"it covers {size} rows, the log has {self._grown.size}")]

    def _reached(self, signed: SignedCheckpoint) -> Iterator[Fault]:
        problems = list(self._problems(signed))
        self._last, self._next = signed.checkpoint, next(self._ahead, None)
        for problem in problems:
            yield fault_of(signed.checkpoint.number, problem)

    def _problems(self, signed: SignedCheckpoint) -> Iterator[str]:
        this, last = signed.checkpoint, self._last
        if this.number != (last.number if last else 0) + 1:
            yield f"it follows checkpoint {last.number if last else 0}"
        if this.previous != (last.sha256 if last else GENESIS):
            yield "it does not refer to the checkpoint before it"
        if not self._verifies(this.key_id, bytes.fromhex(signed.signature), this.message):
            yield f"its signature is not that of key {this.key_id!r}"
        if this.tree_size != self._grown.size:
            yield f"it covers {this.tree_size} rows, fewer than the one before it"
        elif this.root_hash != self._grown.root().hex() and not self._broken:
            self._broken = True  # every later root depends on the same rows
            yield "its root is not that of the rows it covers"
        if not self._extends(signed):
            yield "it does not prove to extend the one before it"

    def _extends(self, signed: SignedCheckpoint) -> bool:
        this, last = signed.checkpoint, self._last
        if last is None:
            return not signed.consistency
        path = [bytes.fromhex(each) for each in signed.consistency]
        roots = bytes.fromhex(last.root_hash), bytes.fromhex(this.root_hash)
        return is_consistent(last.tree_size, this.tree_size, *roots, path)


def fault_of(number: int | None, problem: str) -> Fault:
    """Return a fault of a checkpoint, None for one that is not there."""
    return Fault(TABLE, None if number is None else str(number), None, problem)


def object_key(number: int) -> str:
    """Return where the object store keeps a checkpoint; keys sort like numbers."""
    return f"{OBJECT_PREFIX}{number:012d}.json"


def read_checkpoint(row: Any) -> SignedCheckpoint:  # noqa: ANN401  a row of proof.checkpoints
    """Return the checkpoint of a database row."""
    checkpoint = Checkpoint(**{name: row[name] for name in Checkpoint.model_fields})
    return SignedCheckpoint(
        checkpoint=checkpoint, signature=row["signature"], consistency=tuple(row["consistency"])
    )
