"""Verifies a closeout dossier offline: `python verifier.py DOSSIER KEY...`.

This one file needs Python's standard library and nothing else. A KEY is `id:public:base64`, as
`dispatch public-keys` prints it, or a file of such lines; get it from the issuer, never from
whoever hands you the dossier. Exit code 0: whole. 1: not; the first bad item is named. 2: wrong
usage.

Every byte of the file is accounted for. The signature covers the manifest, the manifest every
member, and the archive around them is compared with the only one that can be made of them. Then
what is inside must agree: the audit rows with their chain and with the signed log, and everything
else with the audit rows.
"""

import base64
import hashlib
import json
import re
import struct
import sys
import zlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

MANIFEST, SIGNATURE = "manifest.json", "signature.json"
FORMAT = "real-dispatch/dossier/1"
CHECKPOINT_FORMAT = "real-dispatch/checkpoint/1"
GENESIS = "0" * 64
WHOLE, BROKEN, USAGE = 0, 1, 2

_LOCAL, _CENTRAL, _END = struct.Struct("<4s5H3I2H"), struct.Struct("<4s6H3I5H2I"), "<4s4H2IH"
_NEW_YEAR_1980 = 0x21
_UUID = re.compile(r"(?=([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}))")


class BadItemError(Exception):
    """The first item that is not what it should be."""

    def __init__(self, item: str, problem: str) -> None:
        super().__init__(f"{item}: {problem}")
        self.item = item
        self.problem = problem


class Member(NamedTuple):
    """A file of the archive; the name is ASCII."""

    name: str
    content: bytes


def archive(members: Sequence[Member]) -> bytes:
    """Return the one archive of these members: stored, without times, in this order."""
    parts, directory, offset = [], [], 0
    for member in members:
        parts += [_local_header(member), member.content]
        directory.append(_central_header(member, offset))
        offset += _LOCAL.size + len(member.name) + len(member.content)
    return b"".join((*parts, *directory, _end(len(members), len(b"".join(directory)), offset)))


def verify(data: bytes, keys: Mapping[str, bytes]) -> dict[str, Any]:
    """Return what was verified; raise `BadItemError` for the first item that is bad.

    `keys` are raw Ed25519 public keys by their ids.
    """
    try:
        manifest, members = _unpacked(data, keys)
        files = {member.name: member.content for member in members}
        return _Contents(manifest, files, keys).verified()
    except (LookupError, TypeError, ValueError, AttributeError, struct.error) as error:
        raise BadItemError(MANIFEST, f"the dossier is not of a known form: {error!r}") from error
    except RecursionError:
        raise BadItemError(MANIFEST, "a member is nested too deeply") from None


def _unpacked(data: bytes, keys: Mapping[str, bytes]) -> tuple[dict[str, Any], list[Member]]:
    first = _leading(data, 0, MANIFEST)
    second = _leading(data, _LOCAL.size + len(MANIFEST) + len(first.content), SIGNATURE)
    signature = _json(second)
    key_id, value = str(signature.get("key_id")), str(signature.get("signature"))
    if key_id not in keys:
        raise BadItemError(SIGNATURE, f"made by key {key_id!r}, which is not among those given")
    if not is_signed(keys[key_id], _hex(value), first.content):
        raise BadItemError(SIGNATURE, f"it is not the signature of key {key_id!r} on the manifest")
    manifest = _json(first)
    if manifest.get("format") != FORMAT or manifest.get("key_id") != key_id:
        raise BadItemError(MANIFEST, "it is not of a known form")
    members = [first, second]
    offset = sum(_LOCAL.size + len(each.name) + len(each.content) for each in members)
    for entry in manifest["members"]:
        member = _member(data, offset, entry)
        members.append(member)
        offset += _LOCAL.size + len(member.name) + len(member.content)
    _check_directory(data, members, offset)
    return manifest, members


def _leading(data: bytes, offset: int, name: str) -> Member:
    """Return one of the two members whose size only the archive knows."""
    start = offset + _LOCAL.size + len(name)
    size = int.from_bytes(data[offset + 22 : offset + 26], "little")
    member = Member(name, data[start : start + size])
    if data[offset:start] != _local_header(member):
        raise BadItemError(name, "its content or its place in the archive was changed")
    return member


def _member(data: bytes, offset: int, entry: Mapping[str, Any]) -> Member:
    name = entry["name"]
    start = offset + _LOCAL.size + len(name)
    member = Member(name, data[start : start + entry["size_bytes"]])
    if hashlib.sha256(member.content).hexdigest() != entry["sha256"]:
        raise BadItemError(name, "its content is not what the manifest says")
    if data[offset:start] != _local_header(member):
        raise BadItemError(name, "its place in the archive was changed")
    return member


def _check_directory(data: bytes, members: Sequence[Member], offset: int) -> None:
    at, begin = 0, offset
    for member in members:
        entry = _central_header(member, at)
        if data[offset : offset + len(entry)] != entry:
            raise BadItemError(member.name, "its entry in the archive's directory was changed")
        at += _LOCAL.size + len(member.name) + len(member.content)
        offset += len(entry)
    if data[offset:] != _end(len(members), offset - begin, begin):
        raise BadItemError("end of the archive", "it was changed, or something follows")


def _local_header(member: Member) -> bytes:
    crc, size = zlib.crc32(member.content), len(member.content)
    fields = (20, 0, 0, 0, _NEW_YEAR_1980, crc, size, size, len(member.name), 0)
    return _LOCAL.pack(b"PK\3\4", *fields) + member.name.encode("ascii")


def _central_header(member: Member, offset: int) -> bytes:
    crc, size = zlib.crc32(member.content), len(member.content)
    fields = (20, 20, 0, 0, 0, _NEW_YEAR_1980, crc, size, size, len(member.name), 0, 0, 0, 0, 0)
    return _CENTRAL.pack(b"PK\1\2", *fields, offset) + member.name.encode("ascii")


def _end(count: int, size: int, offset: int) -> bytes:
    return struct.pack(_END, b"PK\5\6", 0, 0, count, count, size, offset, 0)


class _Contents:
    """The checks of what is inside, once the archive is known to be the one that was signed."""

    def __init__(
        self, manifest: dict[str, Any], files: Mapping[str, bytes], keys: Mapping[str, bytes]
    ) -> None:
        self._manifest = manifest
        self._files = files
        self._keys = keys
        self._rows: list[dict[str, Any]] = []
        self._hashes: list[str] = []

    def verified(self) -> dict[str, Any]:
        self._check_chain()
        anchored = self._check_proofs()
        self._check_ticket()
        self._check_transitions()
        self._check_decisions()
        self._check_policies()
        self._check_artifacts()
        return {
            "ticket_id": self._manifest["ticket_id"],
            "as_of": self._manifest["as_of"],
            "state": self._manifest["state"],
            "key_id": self._manifest["key_id"],
            "audit_rows": len(self._rows),
            "anchored_rows": anchored,
            "checkpoint": self._manifest["checkpoint"],
            "members": len(self._files),
            **self._check_evidence(),
        }

    def _check_chain(self) -> None:
        last: dict[str, Any] = {"seq": 0, "created_at": ""}
        head = GENESIS
        for number, line in enumerate(self._files["audit.jsonl"].splitlines(), start=1):
            row, item = json.loads(line), f"audit.jsonl seq {number}"
            if row["seq"] != number or row["prev_hash"] != head:
                raise BadItemError(item, "it does not follow the row before it")
            if row["ticket_id"] != self._manifest["ticket_id"]:
                raise BadItemError(item, "it belongs to another ticket")
            if row["created_at"] <= last["created_at"]:
                raise BadItemError(item, "it is not later than the row before it")
            head, last = hashlib.sha256(line).hexdigest(), row
            self._rows.append(row)
            self._hashes.append(head)
        if self._manifest["as_of"] != last["created_at"]:
            raise BadItemError(MANIFEST, "as_of is not the time of the newest audit row")

    def _check_proofs(self) -> int:
        proofs = json.loads(self._files["proofs.json"])
        places = proofs["rows"]
        if not places:
            return 0
        body = proofs["checkpoint"]["checkpoint"]
        message = json.dumps(body, sort_keys=True, separators=(",", ":")).encode()
        key, signature = self._keys.get(body["key_id"]), _hex(proofs["checkpoint"]["signature"])
        if body["format"] != CHECKPOINT_FORMAT or key is None:
            raise BadItemError("proofs.json", f"the checkpoint's key {body['key_id']!r} is unknown")
        if not is_signed(key, signature, message):
            raise BadItemError("proofs.json", "the checkpoint is not signed by its key")
        named = {"number": body["number"], "sha256": hashlib.sha256(message).hexdigest()}
        if self._manifest["checkpoint"] != named:
            raise BadItemError("proofs.json", "the checkpoint is not the one of the manifest")
        for number, place in enumerate(places):
            leaf = hashlib.sha256(b"\0" + bytes.fromhex(self._hashes[number])).digest()
            path = [bytes.fromhex(each) for each in place["path"]]
            root = root_of_path(leaf, place["log_index"], body["tree_size"], path)
            if root is None or root.hex() != body["root_hash"]:
                raise BadItemError(f"proofs.json seq {number + 1}", "the row is not in the log")
        return len(places)

    def _check_ticket(self) -> None:
        ticket = json.loads(self._files["ticket.json"])["ticket"]
        reached = [row["after_state"] for row in self._rows if row["after_state"]]
        if ticket["id"] != self._manifest["ticket_id"]:
            raise BadItemError("ticket.json", "it is another ticket")
        if not ticket["state"] == self._manifest["state"] == (reached or [ticket["state"]])[-1]:
            raise BadItemError("ticket.json", "its state is not the one that the audit rows reach")

    def _check_transitions(self) -> None:
        rows = {row["id"]: row for row in self._rows}
        state = self._rows[0]["before_state"]  # that of an imported ticket, else none
        for number, step in enumerate(json.loads(self._files["transitions.json"]), start=1):
            item, row = f"transitions.json entry {number}", rows.get(step["audit_event_id"])
            if row is None or step["created_at"] != row["created_at"]:
                raise BadItemError(item, "no audit row says so")
            if step["from_state"] != state:
                raise BadItemError(item, "it does not start where the one before it ended")
            state = step["to_state"]
        moved = any(row["after_state"] for row in self._rows)
        if moved and state != self._manifest["state"]:
            raise BadItemError("transitions.json", "they do not lead to the ticket's state")

    def _check_decisions(self) -> None:
        judged = {row["command_id"]: row for row in self._rows if row["command_id"]}
        for decision in json.loads(self._files["decisions.json"]):
            row = judged.pop(decision["command_id"], None)
            item = f"decisions.json command {decision['command_id']}"
            if (decision["decision"] == "ALLOW") != (row is not None) and not decision["repeat"]:
                raise BadItemError(item, "the audit rows do not agree")
            if row and row["policy_bundle_sha256"] != decision["policy_bundle_sha256"]:
                raise BadItemError(item, "its audit row names another policy bundle")
        for row in judged.values():
            raise BadItemError(
                "decisions.json", f"the decision on audit seq {row['seq']} is missing"
            )

    def _check_policies(self) -> None:
        used = {row["policy_bundle_sha256"] for row in self._rows}
        for digest in sorted(used - set(self._manifest["policy_bundles_unknown"])):
            name = f"policy/{digest}.json"
            content = self._files.get(name)
            if content is None or hashlib.sha256(content).hexdigest() != digest:
                raise BadItemError(name, "it is not the bundle that judged")

    def _check_artifacts(self) -> None:
        for entry in json.loads(self._files["artifacts.json"]):
            content = self._files[entry["member"]]
            if hashlib.sha256(content).hexdigest() != entry["artifact_hash"]:
                raise BadItemError(entry["member"], "it is not the artifact that was recorded")

    def _check_evidence(self) -> dict[str, int]:
        items = json.loads(self._files["evidence.json"])
        naming, announced = _naming(self._rows), _announced(self._rows)
        for item in items:
            name = f"evidence.json item {item['id']}"
            if item["ticket_id"] != self._manifest["ticket_id"]:
                raise BadItemError(name, "it is evidence of another ticket")
            row = naming.get(item["id"])
            problem = (
                _contradiction(item, row, announced) if row else _is_older(item, self._rows[0])
            )
            if problem:
                raise BadItemError(name, problem)
            if item["member"] is not None:
                digest = hashlib.sha256(self._files[item["member"]]).hexdigest()
                if len(item["checksum"] or "") == 64 and item["checksum"].lower() != digest:  # noqa: PLR2004
                    raise BadItemError(item["member"], "it is not the evidence that was recorded")
            if item.get("redaction"):
                self._check_redaction(name, item["redaction"])
        included = sum((item.get("redaction") or item)["member"] is not None for item in items)
        return {"evidence_items": len(items), "evidence_files": included}

    def _check_redaction(self, name: str, redaction: Mapping[str, Any]) -> None:
        told = {
            (row["payload"].get("uri"), row["payload"].get("sha256"))
            for row in self._rows
            if row["tool_name"] == "evidence.redact"
        }
        if (redaction["uri"], redaction["sha256"]) not in told:
            raise BadItemError(name, "no audit row names its redacted copy")
        member = redaction["member"]
        content = b"" if member is None else self._files[member]
        if member is not None and hashlib.sha256(content).hexdigest() != redaction["sha256"]:
            raise BadItemError(member, "it is not the redacted copy that was recorded")


def _naming(rows: Sequence[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Return the first audit row that names each id, anywhere in its payload."""
    naming: dict[str, dict[str, Any]] = {}
    for row in rows:
        for name in _UUID.findall(json.dumps(row["payload"])):
            naming.setdefault(name, row)
    return naming


def _announced(rows: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    """Return the checksum that was announced for each upload."""
    return {
        row["payload"]["upload_id"]: row["payload"]["request"]["sha256"].lower()
        for row in rows
        if row["tool_name"] == "evidence.presign" and "upload_id" in row["payload"]
    }


def _is_older(item: Mapping[str, Any], first: Mapping[str, Any]) -> str | None:
    """Return what is wrong with an item that no row names, unless it was imported before them."""
    return None if item["created_at"] < first["created_at"] else "no audit row names it"


def _contradiction(
    item: Mapping[str, Any], row: Mapping[str, Any], announced: Mapping[str, str]
) -> str | None:
    """Return what the audit row that names an evidence item says against it."""
    payload = row["payload"]
    request = payload.get("request", {})
    if row["tool_name"] == "evidence.finalize":
        checksum = announced.get(payload["upload_id"])
        request = {**request, "checksum": checksum} if checksum else request
    elif row["tool_name"] != "closeout.add_evidence":
        return None
    for field in ("uri", "checksum"):
        recorded = request.get(field)
        if (recorded.strip() if recorded else None) != item[field]:
            return f"its {field} is not the one of audit seq {row['seq']}"
    return None


def root_of_path(leaf: bytes, index: int, size: int, path: Sequence[bytes]) -> bytes | None:
    """Return the root that an inclusion proof (RFC 6962) leads to, None if it is no proof."""
    turns = list(_turns(index, size)) if 0 <= index < size else None
    if turns is None or len(turns) != len(path):
        return None
    for is_right, sibling in zip(reversed(turns), path, strict=True):
        pair = sibling + leaf if is_right else leaf + sibling
        leaf = hashlib.sha256(b"\1" + pair).digest()
    return leaf


def _turns(index: int, size: int) -> Iterator[bool]:
    """Yield, from the root down, whether the leaf is in the right half."""
    while size > 1:
        left = 1 << ((size - 1).bit_length() - 1)
        is_right = index >= left
        yield is_right
        index, size = (index - left, size - left) if is_right else (index, left)


# Ed25519 (RFC 8032): points of -x^2 + y^2 = 1 + d x^2 y^2 in extended coordinates (X, Y, Z, T).
_P = 2**255 - 19
_ORDER = 2**252 + 27742317777372353535851937790883648493
_D = -121665 * pow(121666, -1, _P) % _P
_ROOT_OF_MINUS_ONE = pow(2, (_P - 1) // 4, _P)
_Point = tuple[int, int, int, int]


def is_signed(key: bytes, signature: bytes, message: bytes) -> bool:
    """Whether the Ed25519 signature is that of the key on the message."""
    point, scalar = _point(key), int.from_bytes(signature[32:], "little")
    if len(signature) != 64 or point is None or scalar >= _ORDER:  # noqa: PLR2004
        return False
    digest = hashlib.sha512(signature[:32] + key + message).digest()
    challenge = int.from_bytes(digest, "little") % _ORDER
    x, y, z, t = point
    shown = _add(_times(scalar, _BASE), _times(challenge, (-x % _P, y, z, -t % _P)))
    return _encoded(shown) == signature[:32]


def _point(text: bytes) -> _Point | None:
    number = int.from_bytes(text, "little")
    sign, y = number >> 255, number & (2**255 - 1)
    if len(text) != 32 or y >= _P:  # noqa: PLR2004
        return None
    square = (y * y - 1) * pow(_D * y * y + 1, -1, _P) % _P
    x = pow(square, (_P + 3) // 8, _P)
    if (x * x - square) % _P:
        x = x * _ROOT_OF_MINUS_ONE % _P
    if (x * x - square) % _P or (x == 0 and sign):
        return None
    x = _P - x if x & 1 != sign else x
    return x, y, 1, x * y % _P


def _add(one: _Point, other: _Point) -> _Point:
    a = (one[1] - one[0]) * (other[1] - other[0]) % _P
    b = (one[1] + one[0]) * (other[1] + other[0]) % _P
    c, d = 2 * one[3] * other[3] * _D % _P, 2 * one[2] * other[2] % _P
    e, f, g, h = b - a, d - c, d + c, b + a
    return e * f % _P, g * h % _P, f * g % _P, e * h % _P


def _times(scalar: int, point: _Point) -> _Point:
    total: _Point = (0, 1, 1, 0)
    while scalar:
        if scalar & 1:
            total = _add(total, point)
        point = _add(point, point)
        scalar >>= 1
    return total


def _encoded(point: _Point) -> bytes:
    inverse = pow(point[2], -1, _P)
    x, y = point[0] * inverse % _P, point[1] * inverse % _P
    return (y | (x & 1) << 255).to_bytes(32, "little")


_BASE = _point((4 * pow(5, -1, _P) % _P).to_bytes(32, "little")) or (0, 1, 1, 0)


def _json(member: Member) -> dict[str, Any]:
    try:
        value = json.loads(member.content)
    except ValueError:
        value = None
    except RecursionError:
        raise BadItemError(member.name, "it is nested too deeply") from None
    if not isinstance(value, dict):
        raise BadItemError(member.name, "it is not a JSON object")
    return value


def _hex(text: str) -> bytes:
    try:
        return bytes.fromhex(text)
    except ValueError:
        return b""


def in_words(found: Mapping[str, Any]) -> dict[str, str]:
    """Return what `verify` found, for people."""
    checkpoint = found["checkpoint"]
    rows, anchored = found["audit_rows"], found["anchored_rows"]
    items, files = found["evidence_items"], found["evidence_files"]
    return {
        "ticket": found["ticket_id"],
        "state": str(found["state"]).replace("_", " ").lower(),
        "as of": found["as_of"],
        "signed by": f"key {found['key_id']}",
        "audit rows": f"{rows}, of which {anchored} are in the signed log",
        "checkpoint of the log": (
            f"number {checkpoint['number']}, SHA-256 {checkpoint['sha256']}"
            if checkpoint
            else "none yet: no row is in the signed log"
        ),
        "files": f"{found['members']}, every byte of them",
        "evidence": f"{items} items, of which {files} are here with their bytes",
    }


def read_keys(entries: Sequence[str]) -> dict[str, bytes]:
    """Return the public keys of `id:public:base64` entries; raises ValueError."""
    keys = {}
    for entry in entries:
        name, separator, text = entry.strip().partition(":public:")
        if not separator:
            raise ValueError(f"not of the form id:public:base64: {entry.strip()[:20]}")
        keys[name] = base64.b64decode(text, validate=True)
    return keys


def main(arguments: Sequence[str]) -> int:
    """Verify a file and print what was found."""
    if len(arguments) < 2:  # noqa: PLR2004
        print(__doc__, file=sys.stderr)  # noqa: T201
        return USAGE
    entries: list[str] = []
    try:
        for argument in arguments[1:]:
            named = Path(argument)
            entries += named.read_text("ascii").split() if named.is_file() else [argument]
        found = verify(Path(arguments[0]).read_bytes(), read_keys(entries))
    except BadItemError as bad:
        print(_shown(f"NOT WHOLE: {bad}"))  # noqa: T201
        return BROKEN
    except (OSError, ValueError) as error:
        print(_shown(str(error)), file=sys.stderr)  # noqa: T201
        return USAGE
    print("\n".join(_shown(f"{name}: {value}") for name, value in in_words(found).items()))  # noqa: T201
    print("whole")  # noqa: T201
    return WHOLE


def _shown(text: str) -> str:
    """Return a line without the characters that would steer a terminal, or pass for more lines."""
    return "".join(character if character.isprintable() else "?" for character in text)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
