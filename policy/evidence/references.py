"""Evidence references: which of them resolve, and which are invalid (contract 9.4, 9.5)."""

import posixpath
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple
from urllib.parse import urlsplit
from uuid import UUID

from policy.evidence.model import Evidence, LookUp
from policy.rules.bundle import EvidenceRules
from policy.values import parse_uuid

STORE_SCHEMES = frozenset({"s3", "minio"})
_SHA256_DIGITS = 64


class Place(NamedTuple):
    """Where an object is."""

    bucket: str
    key: str

    @property
    def normal_key(self) -> str:
        """The key as a path: stores and what stands before them treat its other spellings alike."""
        return posixpath.normpath(f"/{self.key}").lstrip("/")


def place_of(uri: str) -> Place | None:
    """Return where a reference into an object store leads, None for any other."""
    scheme, separator, rest = uri.partition("://")
    if not separator or scheme.lower() not in STORE_SCHEMES:
        return None
    bucket, _, key = rest.partition("/")
    return Place(bucket, key)


def resolvable(rules: EvidenceRules, uri: str) -> bool:
    """Whether `uri` is absolute, of an allowed scheme, with a host and a path."""
    try:
        parts = urlsplit(uri)
        host = parts.hostname
    except ValueError:
        return False
    place = place_of(uri)
    is_empty = parts.path in {"", "/"} or (place is not None and not place.normal_key)
    return parts.scheme in rules.schemes and bool(host) and not is_empty


def invalid_references(
    rules: EvidenceRules,
    evidence: Sequence[Evidence],
    listed: Iterable[str],
    required_keys: Iterable[str],
    look_ups: Mapping[str, LookUp] | None,
) -> tuple[str, ...]:
    """Return the invalid references, unique and sorted, as they were given.

    `listed` are evidence ids or uris; rows that carry a required key count without being listed.
    `look_ups` holds what was found for each uri, None when look-ups are off.
    """
    required = frozenset(required_keys)
    good: dict[UUID | str, bool] = {}
    for row in evidence:
        good[row.id] = _is_good(rules, row, look_ups)
        good[row.uri] = good[row.id] and good.get(row.uri, True)
    invalid = {ref for ref in frozenset(listed) if not good.get(_named(ref), False)}
    invalid |= {row.uri for row in evidence if row.evidence_key in required and not good[row.id]}
    return tuple(sorted(invalid))


def pinned_versions(evidence: Iterable[Evidence]) -> dict[str, str | None]:
    """Return each distinct uri with the version to look up: the pinned one, where there is one."""
    pinned: dict[str, str | None] = {}
    for row in evidence:
        pinned[row.uri] = row.object_version_id or pinned.get(row.uri)
    return pinned


def look_up_failure(rules: EvidenceRules, row: Evidence, found: LookUp | None) -> str | None:
    """Return the failure code of a looked-up row, comparing its checksum where that is on."""
    if found is None:
        return "UNSUPPORTED_SCHEME"
    if found.failure is not None:
        return found.failure
    if rules.require_checksum and row.checksum and not _same_checksum(row, found):
        return "CHECKSUM_MISMATCH"
    return None


def _named(reference: str) -> UUID | str:
    """Return what a reference names: the id of an item, else a uri."""
    try:
        return parse_uuid(reference)
    except ValueError:
        return reference


def _is_good(rules: EvidenceRules, row: Evidence, look_ups: Mapping[str, LookUp] | None) -> bool:
    if not resolvable(rules, row.uri):
        return False
    return look_ups is None or look_up_failure(rules, row, look_ups.get(row.uri)) is None


def _same_checksum(row: Evidence, found: LookUp) -> bool:
    checksum = (row.checksum or "").strip().lower()
    if len(checksum) == _SHA256_DIGITS and found.sha256:
        return checksum == found.sha256.lower()
    other = [found.etag, found.content_md5]
    return checksum in {value.lower().removeprefix("w/").strip('"') for value in other if value}
