"""Custody: evidence and closeout packets, compared with what a ticket's audit rows say of them."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

import orjson
from pydantic import ValidationError

from policy.audit.chain import Event, Fault, hash_matches
from policy.audit.redaction import redact
from policy.audit.trail import Row, Trail, pairs_of
from policy.command.registry import command_tool
from policy.evidence.uploads import INSPECTION, VOUCHING_VERSION, evidence_id_of
from policy.values import format_datetime

EVIDENCE = "evidence_items"
ARTIFACTS = "closeout_artifacts"
ADD, FINALIZE, PRESIGN = "closeout.add_evidence", "evidence.finalize", "evidence.presign"
CLOSING = frozenset({"ticket.close", "ticket.force_close"})
SEALING = CLOSING | {"qa.verify"}
COMPLETING = frozenset({"tech.complete", "closeout.candidate", "dispatch.manual_bypass"})
SEAL_REASON = "closeout_verification"
SEAL_COLUMNS = ("immutable_reason", "immutable_by", "immutable_request_id", "immutable_at")


class Entry(NamedTuple):
    """An evidence row as its audit row recorded it; `metadata` is in redacted form."""

    event: Event
    columns: Mapping[str, Any]


def check_custody(
    trail: Trail, evidence: Sequence[Row], packet: Row | None, redaction_key: bytes | None
) -> Iterator[Fault]:
    """Yield evidence and a closeout packet that are not what was recorded, foreign or gone."""
    recorded = entries(trail)
    yield from _check_packet(trail, recorded, packet)
    for row in evidence:
        entry = recorded.pop(str(row["id"]), None)
        if entry is not None:
            yield from _compare(trail, entry, row, redaction_key)
        elif trail.begins_at_creation and not trail.is_torn:
            yield _fault(row, "no audit row recorded it")
    for evidence_id, entry in recorded.items():
        problem = f"gone; audit seq {entry.event['seq']} recorded it"
        yield Fault(EVIDENCE, evidence_id, trail.ticket_id, problem)


def _check_packet(trail: Trail, recorded: Mapping[str, Entry], row: Row | None) -> Iterator[Fault]:
    closing = next((event for event in trail.events if event["tool_name"] in CLOSING), None)
    if row is None:
        if closing is not None:
            problem = f"the closeout packet of audit seq {closing['seq']} is gone"
            yield Fault(ARTIFACTS, None, trail.ticket_id, problem)
        return
    packet = row["artifact_payload"]
    if not isinstance(packet, dict) or not hash_matches(packet, row["artifact_hash"] or ""):
        yield _artifact_fault(row, "artifact_hash is not the hash of artifact_payload")
    elif closing is not None:
        yield from _compare_packet(trail, closing, recorded, row)
    elif trail.begins_at_creation and not trail.is_torn:
        yield _artifact_fault(row, "no audit row closed the ticket")


def entries(trail: Trail) -> dict[str, Entry]:
    """Return the evidence that the audit rows recorded, by id."""
    presigned = {
        event["payload"].get("upload_id"): event
        for event in trail.events
        if event["tool_name"] == PRESIGN
    }
    found: dict[str, Entry] = {}
    for event in trail.events:
        # A newest row that was forged as a whole may hold anything; then it records no evidence.
        with suppress(KeyError, TypeError, ValidationError):
            if event["tool_name"] == ADD:
                found[event["payload"]["evidence_item_id"]] = Entry(event, _added(event))
            elif event["tool_name"] == FINALIZE:
                announced = presigned.get(event["payload"]["upload_id"])
                columns = _finalized(event, announced)
                # The same bytes may come again; the first upload became the evidence.
                found.setdefault(event["payload"]["evidence_item_id"], Entry(event, columns))
    return found


def _added(event: Event) -> dict[str, Any]:
    request = command_tool(ADD).payload.model_validate(event["payload"]["request"])
    sent = request.model_dump()
    key = sent["evidence_key"]
    return {
        "kind": sent["kind"],
        "uri": sent["uri"],
        "checksum": sent["checksum"],
        "metadata": {**sent["metadata"], **({} if key is None else {"evidence_key": key})},
        "content_type": None,
        "size_bytes": None,
        "object_version_id": None,
        "retention_until": None,
    }


def _finalized(event: Event, presign: Event | None) -> dict[str, Any]:
    payload = event["payload"]
    request = command_tool(FINALIZE).payload.model_validate(payload["request"]).model_dump()
    known = {"uri": request["uri"], "object_version_id": payload["object_version_id"]}
    if presign is None:
        return known
    announced = command_tool(PRESIGN).payload.model_validate(presign["payload"]["request"])
    upload = announced.model_dump()
    server_keys = {
        "evidence_key": upload["evidence_key"],
        "upload_id": payload["upload_id"],
        "sha256": upload["sha256"],
    }
    return {
        **known,
        "kind": upload["kind"],
        "checksum": upload["sha256"],
        "metadata": {**_without_inspection(request["metadata"]), **server_keys},
        "content_type": upload["content_type"],
        "size_bytes": upload["size_bytes"],
    }


def _compare(trail: Trail, entry: Entry, row: Row, redaction_key: bytes | None) -> Iterator[Fault]:
    event = entry.event
    metadata = row["metadata"]
    if event["tool_name"] == FINALIZE:
        metadata = _without_inspection(metadata)
        yield from _check_inspection(row, event)
    stored = {**row, "metadata": _as_recorded(metadata, entry, redaction_key)}
    differing = [name for name, wanted in entry.columns.items() if not _same(stored[name], wanted)]
    if row["created_by"] != event["actor_id"]:
        differing.append("created_by")
    if row["tenant_id"] != event["tenant_id"]:
        differing.append("tenant_id")
    if not trail.written_with(event, row["created_at"]):
        differing.append("created_at")
    if differing:
        yield _fault(row, f"{_list(differing)} not as audit seq {event['seq']} recorded")
    yield from _compare_seal(trail, event, row)


def _as_recorded(metadata: Any, entry: Entry, redaction_key: bytes | None) -> Any:  # noqa: ANN401  any JSON value
    """Return metadata in redacted form: that of today, or where it fits that of older rows."""
    older = redact(metadata, None, "metadata")
    if _same(older, entry.columns.get("metadata")):
        return older
    return redact(metadata, redaction_key, "metadata")


def _check_inspection(row: Row, event: Event) -> Iterator[Fault]:
    """Yield a fault unless the id vouches for what the server saw in the bytes."""
    seen = row["metadata"].get(INSPECTION) if isinstance(row["metadata"], dict) else None
    if seen is None and UUID(str(row["id"])).version != VOUCHING_VERSION:
        return
    try:
        upload_id = UUID(event["payload"]["upload_id"])
        vouched = evidence_id_of(upload_id, upload_id, dict(seen or {}))
    except (KeyError, TypeError, ValueError):
        vouched = None
    if str(vouched) != str(row["id"]):
        yield _fault(row, f"metadata.{INSPECTION} is not what its id vouches for")


def _without_inspection(metadata: Any) -> Any:  # noqa: ANN401  any JSON value
    if not isinstance(metadata, dict):
        return metadata
    return {name: value for name, value in metadata.items() if name != INSPECTION}


def _compare_seal(trail: Trail, added: Event, row: Row) -> Iterator[Fault]:
    seals = [e for e in trail.events if e["tool_name"] in SEALING and e["seq"] > added["seq"]]
    if not seals:
        loose = [name for name in SEAL_COLUMNS if row[name] is not None]
        if not trail.is_torn and (row["is_immutable"] or loose):
            yield _fault(row, "sealed, but no command sealed it")
        return
    seal = seals[0]
    if not row["is_immutable"]:
        yield _fault(row, f"not sealed, though audit seq {seal['seq']} sealed it")
        return
    wanted: Mapping[str, Callable[[], bool]] = {
        "immutable_reason": lambda: row["immutable_reason"] == SEAL_REASON,
        "immutable_by": lambda: row["immutable_by"] == seal["actor_id"],
        "immutable_request_id": lambda: str(row["immutable_request_id"]) == seal["request_id"],
        "immutable_at": lambda: trail.written_with(seal, row["immutable_at"]),
    }
    differing = [name for name, holds in wanted.items() if not holds()]
    if differing and not trail.is_torn:
        yield _fault(row, f"{_list(differing)} not as audit seq {seal['seq']} sealed it")


def _compare_packet(
    trail: Trail, closing: Event, recorded: Mapping[str, Entry], row: Row
) -> Iterator[Fault]:
    packet, payload = row["artifact_payload"], closing["payload"]
    wanted = {
        "ticket_id": closing["ticket_id"],
        "ticket_state": closing["after_state"],
        "correlation_id": closing["correlation_id"],
        "closure_reason": payload.get("reason"),
        "closeout_check": payload.get("closeout_check"),
        "actor_ids": {name: closing[name] for name in ("actor_id", "actor_type", "actor_role")},
    }
    differing = [name for name, value in wanted.items() if not _same(packet.get(name), value)]
    columns = {"request_id": closing["request_id"], "created_by": closing["actor_id"]}
    differing += [name for name, value in columns.items() if str(row[name]) != value]
    if not trail.is_torn and trail.begins_at_creation:
        differing += [name for name, same in _whole(trail, recorded, packet).items() if not same]
    if differing:
        yield _artifact_fault(row, f"{_list(differing)} not as the audit rows recorded")


def _whole(
    trail: Trail, recorded: Mapping[str, Entry], packet: Mapping[str, Any]
) -> dict[str, bool]:
    """Return whether the parts that tell of the whole ticket say what its audit rows say."""
    context = [event for event in trail.events if event["tool_name"] in COMPLETING]
    steps = [pair for event in trail.events for pair in pairs_of(event)]
    path = _steps(packet.get("state_history_summary"))
    evidence = [
        {
            "id": evidence_id,
            **{name: entry.columns.get(name) for name in ("kind", "uri", "checksum")},
            "evidence_key": _key(entry),
            "immutable": True,
        }
        for evidence_id, entry in recorded.items()
    ]
    return {
        "evidence": _same(_by_id(packet.get("evidence")), _by_id(evidence)),
        "closeout_context": _same(
            packet.get("closeout_context"), context[-1]["payload"]["request"] if context else None
        ),
        "state_history_summary": path == steps,
    }


def _by_id(items: Any) -> dict[str, Any]:  # noqa: ANN401  any JSON value
    listed = items if isinstance(items, list) else []
    return {str(item.get("id")): item for item in listed if isinstance(item, dict)}


def _steps(summary: Any) -> list[tuple[Any, Any]]:  # noqa: ANN401  any JSON value
    steps = summary.get("transitions") if isinstance(summary, dict) else None
    listed = steps if isinstance(steps, list) else []
    return [(s.get("from_state"), s.get("to_state")) for s in listed if isinstance(s, dict)]


def _key(entry: Entry) -> str | None:
    key = entry.columns.get("metadata", {}).get("evidence_key")
    return key if isinstance(key, str) and key else None


def _same(one: Any, other: Any) -> bool:  # noqa: ANN401  any JSON value; Python's 1 equals True
    if isinstance(one, datetime):
        one = format_datetime(one)
    return one is other or _plain(one) == _plain(other)


def _plain(value: Any) -> bytes:  # noqa: ANN401  any JSON value
    return orjson.dumps(value, option=orjson.OPT_SORT_KEYS)


def _list(names: Sequence[str]) -> str:
    return f"{', '.join(names)} {'is' if len(names) == 1 else 'are'}"


def _fault(row: Row, problem: str) -> Fault:
    return Fault(EVIDENCE, str(row["id"]), str(row["ticket_id"]), problem)


def _artifact_fault(row: Row, problem: str) -> Fault:
    return Fault(ARTIFACTS, str(row["id"]), str(row["ticket_id"]), problem)
