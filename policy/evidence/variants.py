"""Which variant of evidence a role may read: links, packets, pictures and dossiers ask here alone.

A redaction hides the original, and with it what the server saw in its bytes, from all but those who
judge disputes. It does so for every item of the ticket that holds the same bytes.
"""

from collections.abc import Iterable, Sequence
from enum import StrEnum
from typing import Final, NamedTuple
from uuid import UUID

from policy.evidence.model import Evidence
from policy.evidence.uploads import INSPECTION
from policy.model import Frozen, Role

UNREDACTED_READERS: Final = frozenset({Role.AUDIT, Role.APPROVER})


class Variant(StrEnum):
    """What a link may lead to."""

    ORIGINAL = "original"
    REDACTED = "redacted"
    THUMBNAIL = "thumbnail"


class Redaction(Frozen):
    """The redacted copy that stands for an item."""

    evidence_item_id: UUID
    uri: str
    object_version_id: str | None
    content_type: str
    size_bytes: int
    sha256: str


class Readable(NamedTuple):
    """An item as a role may read it; with a redaction, the redacted copy is what it may read."""

    item: Evidence
    redaction: Redaction | None


def is_hidden(role: Role | None, redaction: Redaction | None) -> bool:
    """Whether the original is hidden from a role; None is whoever may come to see it."""
    return redaction is not None and role not in UNREDACTED_READERS


def readable(
    role: Role | None, items: Iterable[Evidence], redactions: Iterable[Redaction]
) -> Sequence[Readable]:
    """Return items as a role may read them."""
    known = {each.evidence_item_id: each for each in redactions}
    return [_readable(role, item, known.get(item.id)) for item in items]


def _readable(role: Role | None, item: Evidence, redaction: Redaction | None) -> Readable:
    if not is_hidden(role, redaction):
        return Readable(item, None)
    kept = {name: value for name, value in item.metadata.items() if name != INSPECTION}
    return Readable(item.model_copy(update={"metadata": kept}), redaction)
