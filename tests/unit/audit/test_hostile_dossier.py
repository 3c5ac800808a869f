"""The dossier's verifier reads files of strangers, and answers each of them clearly."""

import hashlib
import json
import struct
from collections.abc import Mapping
from pathlib import Path

import pytest

from policy.dossier import verifier
from policy.dossier.verifier import BadItemError, Member, archive, verify

DEEP = b"[" * 200_000
KEY = {"issuer": bytes(32)}
SIGNED = {"key_id": "issuer", "signature": "00" * 64}


def file_of(manifest: bytes, signature: bytes) -> bytes:
    return archive([Member("manifest.json", manifest), Member("signature.json", signature)])


HOSTILE: Mapping[str, bytes] = {
    "nested lists as the file": DEEP,
    "nested lists as the manifest": file_of(DEEP, json.dumps(SIGNED).encode()),
    "nested lists as the signature": file_of(b"{}", DEEP),
    "nested objects as the signature": file_of(b"{}", b'{"a":' * 100_000),
    "a nested key id": file_of(b"{}", b'{"key_id":' + b"[" * 800 + b"]" * 800 + b"}"),
    "a number of a million digits": file_of(b"{}", b'{"key_id": ' + b"9" * 1_000_000 + b"}"),
    "no text": file_of(b"\xff" * 9, b"\xff" * 9),
    "control sequences as a key id": file_of(b"{}", json.dumps({"key_id": "\x1b[2J"}).encode()),
    "nothing": b"",
    "one byte": b"P",
    "a huge size": b"PK\3\4" + struct.pack("<4H", 20, 0, 0, 0) + b"\xff" * 40,
    "a size that lies": file_of(b"{}", b"{}").replace(b"\2\0\0\0", b"\xff\xff\xff\x7f"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_file_is_a_bad_item_and_no_traceback(name: str) -> None:
    with pytest.raises(BadItemError):
        verify(HOSTILE[name], KEY)


@pytest.mark.parametrize("name", HOSTILE)
def test_the_command_says_so_on_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    path = tmp_path / "dossier.zip"
    path.write_bytes(HOSTILE[name])
    assert verifier.main([str(path), f"issuer:public:{'A' * 43}="]) == verifier.BROKEN
    out, err = capsys.readouterr()
    assert out.startswith("NOT WHOLE: ")
    assert out.count("\n") == 1
    assert out.strip().isprintable()
    assert err == ""


@pytest.mark.parametrize("member", ["audit.jsonl", "proofs.json", "ticket.json"])
def test_a_signed_member_that_is_nested_too_deeply_is_named(
    monkeypatch: pytest.MonkeyPatch, member: str
) -> None:
    """Even an issuer's own file gets an answer: here every signature counts."""
    contents = {"audit.jsonl": b"", "proofs.json": b'{"rows": []}', member: DEEP}
    entries = [
        {
            "name": name,
            "size_bytes": len(content),
            "sha256": hashlib.sha256(content).hexdigest(),
        }
        for name, content in contents.items()
    ]
    manifest = {
        "format": verifier.FORMAT,
        "key_id": "issuer",
        "members": entries,
        "ticket_id": "t",
        "as_of": "",
        "state": "NEW",
    }
    monkeypatch.setattr(verifier, "is_signed", lambda *_: True)
    members = [Member(name, content) for name, content in contents.items()]
    first = [
        Member("manifest.json", json.dumps(manifest).encode()),
        Member("signature.json", json.dumps(SIGNED).encode()),
    ]
    with pytest.raises(BadItemError, match="nested too deeply"):
        verify(archive([*first, *members]), KEY)
