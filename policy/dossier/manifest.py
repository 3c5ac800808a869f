"""The closeout dossier: everything about one ticket in one archive, signed.

Its form is the one that `policy/dossier/verifier.py` checks.
"""

from collections.abc import Callable, Mapping, Sequence
from hashlib import sha256
from typing import Any, NamedTuple

from pydantic import JsonValue

from policy.audit.chain import GENESIS, Event
from policy.audit.checkpoint import SignedCheckpoint
from policy.canonical import canonical_bytes
from policy.dossier.verifier import FORMAT, MANIFEST, SIGNATURE, Member, archive
from policy.evidence.variants import Redaction
from policy.model import Frozen

PACKET, INVOICE = "dossier.pdf", "invoice.pdf"
LISTED = ("artifact_type", "artifact_name", "artifact_hash")
EXTENSIONS = {
    "image/jpeg": "jpg",
    "image/png": "png",
    "image/webp": "webp",
    "image/heic": "heic",
    "application/pdf": "pdf",
    "application/json": "json",
    "text/plain": "txt",
    "audio/mpeg": "mp3",
    "audio/mp4": "m4a",
    "video/mp4": "mp4",
}


class Place(NamedTuple):
    """Where an audit row stands in the log, and the proof of it."""

    log_index: int
    path: Sequence[bytes]


class EvidenceFile(NamedTuple):
    """An evidence item (E), with its bytes or the reason why they are left out.

    With a redaction the bytes are those of the redacted copy.
    """

    item: Mapping[str, Any]
    content: bytes | None
    missing: str | None
    redaction: Redaction | None = None

    @property
    def content_type(self) -> str | None:
        """What the bytes were declared to be."""
        declared: str | None = self.item["content_type"]
        return self.redaction.content_type if self.redaction else declared


class Record(Frozen):
    """What is known of a ticket, as JSON. `events` are V, complete and in order of seq.

    `places` belong to the first of them: those that `checkpoint` covers. `bundles` are policy
    bundles in canonical form by their hash.
    """

    ticket: Mapping[str, Any]
    site: Mapping[str, Any]
    account: Mapping[str, Any]
    technician: str | None
    sla: Mapping[str, Any]
    approvals: Sequence[Mapping[str, Any]]
    escalations: Sequence[Mapping[str, Any]]
    completion: Mapping[str, Any] | None
    requirements: Mapping[str, Any]
    transitions: Sequence[Mapping[str, Any]]
    decisions: Sequence[Mapping[str, Any]]
    artifacts: Sequence[Mapping[str, Any]]
    events: Sequence[Event]
    places: Sequence[Place]
    checkpoint: SignedCheckpoint | None
    bundles: Mapping[str, str]

    @property
    def as_of(self) -> str:
        """The instant up to which the dossier tells: that of the newest audit row."""
        created_at: str = self.events[-1]["created_at"]
        return created_at


Sign = Callable[[bytes], bytes]


def dossier(
    record: Record,
    evidence: Sequence[EvidenceFile],
    papers: Mapping[str, bytes],
    key_id: str,
    sign: Sign,
) -> bytes:
    """Return the archive; `papers` are what people read. The same facts make the same bytes."""
    pages = [Member(name, content) for name, content in papers.items()]
    members = [*pages, *_records(record), *_evidence(evidence)]
    manifest = Member(MANIFEST, canonical_bytes(_manifest(record, members, key_id)))
    signature = _json(SIGNATURE, {"key_id": key_id, "signature": sign(manifest.content).hex()})
    return archive([manifest, signature, *members])


def _manifest(record: Record, members: Sequence[Member], key_id: str) -> dict[str, JsonValue]:
    used = {event["policy_bundle_sha256"] for event in record.events}
    return {
        "format": FORMAT,
        "ticket_id": record.ticket["id"],
        "tenant_id": record.events[0]["tenant_id"],
        "state": record.ticket["state"],
        "as_of": record.as_of,
        "key_id": key_id,
        "audit": {
            "rows": len(record.events),
            "anchored": len(record.places),
            "head": record.events[-1]["hash"] if record.events else GENESIS,
        },
        "checkpoint": _checkpoint_name(record),
        "policy_bundles_unknown": sorted(used - set(record.bundles)),
        "members": [
            {
                "name": member.name,
                "size_bytes": len(member.content),
                "sha256": sha256(member.content).hexdigest(),
            }
            for member in members
        ],
    }


def _checkpoint_name(record: Record) -> dict[str, JsonValue] | None:
    if record.checkpoint is None:
        return None
    checkpoint = record.checkpoint.checkpoint
    return {"number": checkpoint.number, "sha256": checkpoint.sha256}


def _records(record: Record) -> list[Member]:
    facts = ("ticket", "site", "account", "technician", "sla", "approvals", "escalations")
    lines = [
        canonical_bytes({name: part for name, part in event.items() if name != "hash"})
        for event in record.events
    ]
    proofs = {
        "checkpoint": record.checkpoint.shape() if record.checkpoint else None,
        "rows": [
            {"log_index": place.log_index, "path": [each.hex() for each in place.path]}
            for place in record.places
        ],
    }
    listed = [
        {
            **{name: artifact[name] for name in LISTED},
            "member": _artifact_member(artifact),
        }
        for artifact in record.artifacts
    ]
    return [
        _json("ticket.json", {name: getattr(record, name) for name in facts}),
        Member("audit.jsonl", b"".join(line + b"\n" for line in lines)),
        _json("proofs.json", proofs),
        _json("transitions.json", record.transitions),
        _json("decisions.json", record.decisions),
        _json("artifacts.json", listed),
        *(_json(_artifact_member(each), each["artifact_payload"]) for each in record.artifacts),
        *(
            Member(f"policy/{digest}.json", record.bundles[digest].encode())
            for digest in sorted(record.bundles)
        ),
    ]


def _artifact_member(artifact: Mapping[str, Any]) -> str:
    return f"artifacts/{artifact['artifact_type']}.json"


def _evidence(evidence: Sequence[EvidenceFile]) -> list[Member]:
    listed, files = [], []
    for number, each in enumerate(evidence, start=1):
        name = None
        if each.content is not None:
            extension = EXTENSIONS.get(each.content_type or "", "bin")
            variant = "-redacted" if each.redaction else ""
            name = f"evidence/{number:03d}-{each.item['id']}{variant}.{extension}"
            files.append(Member(name, each.content))
        entry = {**each.item, "member": name, "missing": each.missing}
        if each.redaction:
            copy = each.redaction.model_dump(exclude={"evidence_item_id"})
            entry |= {"member": None, "redaction": {**copy, "member": name}}
        listed.append(entry)
    return [_json("evidence.json", listed), *files]


def _json(name: str, value: Any) -> Member:  # noqa: ANN401  any JSON value
    return Member(name, canonical_bytes(value))
