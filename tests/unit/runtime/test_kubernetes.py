"""The Kubernetes files as they ship: what they forbid, and that the product works within it."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from policy.rules.bundle import load_bundle
from records.evidence.decoding import MEMORY_BYTES
from tests.integration.evidence.image_files import photo

FOLDER = Path(__file__).parents[3] / "deploy" / "kubernetes"
UNITS = {"Mi": 1 << 20, "Gi": 1 << 30}
SERVING_BYTES = 256 << 20
"""What a gateway or a worker takes itself, beside the one decoder that it runs at a time."""
PARTS = ("api", "worker", "migrate", "verify")
# Within a manifest's constraints: nothing can be opened for writing but below what is mounted, and
# no process takes more memory than the limit.
CONSTRAINED = """
import os, resource, sys

mounts, limit = sys.argv[1].split(), int(sys.argv[2])
resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC

def read_only(event, arguments):
    if event == "open" and not isinstance(arguments[0], int) and (arguments[2] or 0) & WRITING:
        path = os.path.realpath(os.fsdecode(arguments[0]))
        if path != "/dev/null" and not any(path.startswith(mount) for mount in mounts):
            raise OSError(30, "Read-only file system", path)

sys.addaudithook(read_only)
"""
ACCEPT = """
from botocore.response import StreamingBody
from io import BytesIO
from policy.evidence.model import StoredObject, Upload
from policy.rules.bundle import load_bundle
from records.evidence.accepting import with_inspection
from records.evidence.store import EvidenceStore
from runtime.settings import Settings
from uuid import uuid4
from datetime import UTC, datetime

picture = sys.stdin.buffer.read()

class Store:
    def get_object(self, **_):
        body = StreamingBody(BytesIO(picture), len(picture))
        return {"Body": body, "ETag": "e", "ContentLength": len(picture)}
    def put_object(self, **_):
        pass

EvidenceStore(Settings(), load_bundle().evidence)
upload = Upload(id=uuid4(), ticket_id=uuid4(), bucket="b", object_key="k", kind="PHOTO",
                evidence_key=None, content_type="image/jpeg", size_bytes=len(picture),
                sha256="0" * 64, evidence_item_id=None, multipart_id=None, part_bytes=None,
                created_at=datetime.now(UTC), abandoned=False)
stored = StoredObject(size_bytes=len(picture), sniffed_type="image/jpeg")
seen = with_inspection(Store(), upload, stored, load_bundle().evidence)
print(seen.inspection["image"]["width"], "thumbnail" in seen.inspection)
"""


def documents() -> Iterator[dict[str, Any]]:
    for path in sorted(FOLDER.glob("*.yaml")):
        yield from yaml.safe_load_all(path.read_text(encoding="utf-8"))


def pods() -> dict[str, dict[str, Any]]:
    """Return what each part's pods are made from, by the label of the part."""
    found = {}
    for document in documents():
        spec = document.get("spec", {})
        spec = spec.get("jobTemplate", {}).get("spec", spec)
        if "template" in spec:
            found[spec["template"]["metadata"]["labels"]["part"]] = spec["template"]
    return found


PODS = pods()
POLICIES = [each for each in documents() if each["kind"] == "NetworkPolicy"]


def container(part: str) -> dict[str, Any]:
    (only,) = PODS[part]["spec"]["containers"]
    found: dict[str, Any] = only
    return found


def size(text: str) -> int:
    return int(text[:-2]) * UNITS[text[-2:]]


def writable(part: str) -> dict[str, int]:
    """Return the folders that a part may write to, with how much."""
    volumes = {each["name"]: each["emptyDir"] for each in PODS[part]["spec"].get("volumes", ())}
    mounts = container(part).get("volumeMounts", ())
    return {each["mountPath"]: size(volumes[each["name"]]["sizeLimit"]) for each in mounts}


def memory(part: str) -> int:
    return size(container(part)["resources"]["limits"]["memory"])


def selects(policy: dict[str, Any], labels: dict[str, str]) -> bool:
    selector = policy["spec"]["podSelector"]
    named = selector.get("matchLabels", {}).items() <= labels.items()
    listed = selector.get("matchExpressions", ())
    return named and all(labels[each["key"]] in each["values"] for each in listed)


def rules(part: str, direction: str) -> list[dict[str, Any]]:
    labels = PODS[part]["metadata"]["labels"]
    chosen = [each for each in POLICIES if selects(each, labels)]
    return [rule for each in chosen for rule in each["spec"].get(direction, ())]


def test_every_part_is_there() -> None:
    assert set(PODS) == set(PARTS)


@pytest.mark.parametrize("part", PARTS)
def test_a_pod_has_no_rights_to_spare(part: str) -> None:
    pod, security = PODS[part]["spec"], container(part)["securityContext"]
    assert pod["automountServiceAccountToken"] is False
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert security["readOnlyRootFilesystem"] is True
    assert security["allowPrivilegeEscalation"] is False
    assert security["capabilities"] == {"drop": ["ALL"]}


@pytest.mark.parametrize("part", PARTS)
def test_a_pod_can_put_a_file_aside_and_nothing_else(part: str) -> None:
    assert set(writable(part)) == {"/tmp"}  # noqa: S108  where every library looks
    if part in {"api", "worker"}:
        assert writable(part)["/tmp"] >= load_bundle().evidence.max_bytes  # noqa: S108


@pytest.mark.parametrize("part", ["api", "worker"])
def test_the_decoder_fits_into_the_memory_limit_beside_who_runs_it(part: str) -> None:
    assert memory(part) >= MEMORY_BYTES + SERVING_BYTES


@pytest.mark.parametrize("part", ["api", "worker"])
def test_a_picture_is_accepted_within_the_manifests_constraints(part: str) -> None:
    done = subprocess.run(  # noqa: S603  our own program
        (sys.executable, "-c", CONSTRAINED + ACCEPT, " ".join(writable(part)), str(memory(part))),
        input=photo(1200, 900),
        capture_output=True,
        check=False,
        timeout=60,
        env={},
    )
    assert done.stdout.split() == [b"1200", b"True"], done.stderr.decode()


def test_without_a_folder_to_write_to_no_process_starts() -> None:
    """Else each picture would be refused as if the store were down."""
    program = CONSTRAINED + "from runtime.settings import Settings\n"
    program += "from records.evidence.store import EvidenceStore\nEvidenceStore(Settings(), None)"
    done = subprocess.run(  # noqa: S603  our own program
        (sys.executable, "-c", program, "", str(1 << 30)),
        capture_output=True,
        check=False,
        timeout=60,
        env={},
    )
    assert b"ConfigurationError: pictures need a writable folder" in done.stderr


@pytest.mark.parametrize("part", PARTS)
def test_nobody_is_reached_and_reaches_but_by_rule(part: str) -> None:
    labels = PODS[part]["metadata"]["labels"]
    closing = [each for each in POLICIES if each["spec"]["policyTypes"] == ["Ingress", "Egress"]]
    assert any(selects(each, labels) for each in closing)
    if part == "api":
        (rule,) = rules(part, "ingress")
        assert rule["from"]
        assert [each["port"] for each in rule["ports"]] == [8080]
    else:
        assert rules(part, "ingress") == []


@pytest.mark.parametrize(
    ("part", "ports"),
    [
        ("api", {53, 443, 5432, 7233}),
        ("worker", {53, 443, 5432, 7233}),
        ("verify", {53, 443, 5432, 7233}),
        ("migrate", {53, 5432}),
    ],
)
def test_a_part_reaches_its_servers_and_never_the_metadata_service(
    part: str, ports: set[int]
) -> None:
    found = rules(part, "egress")
    assert {each["port"] for rule in found for each in rule["ports"]} == ports
    for rule in found:
        assert rule["to"]
        for each in rule["to"]:
            block = each.get("ipBlock", {})
            if block.get("cidr") == "0.0.0.0/0":
                assert "169.254.0.0/16" in block["except"]
