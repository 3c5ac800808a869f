"""Uploads on a real S3 server: in parts, the same bytes twice, images, and what is left behind."""

import hashlib
from datetime import timedelta

import pytest
from botocore.exceptions import ClientError

from activities.evidence.upkeep import EvidenceRates
from contracts.evidence import Swept
from policy.rules.bundle import load_bundle
from records.evidence.rows import upload_of
from tests.integration.evidence.evidence_desk import LARGE, Desk, pinned, place
from tests.integration.evidence.image_files import TAKEN, photo
from tests.integration.servers.s3_fixture import BUCKET

pytest_plugins = [
    "tests.integration.servers.postgres_fixture",
    "tests.integration.servers.s3_fixture",
    "tests.integration.evidence.evidence_desk",
]

PART = load_bundle().evidence.part_bytes
KEY = "photo_after_latched_alignment"


async def test_a_large_file_comes_in_parts_and_goes_on_after_an_interruption(desk: Desk) -> None:
    ticket = await desk.runner.create()
    signed = await desk.announce(ticket, LARGE)
    parts, part_bytes = signed["multipart"]["parts"], signed["multipart"]["part_bytes"]
    assert [part["size_bytes"] for part in parts] == [PART, PART, len(LARGE) - 2 * PART]
    await desk.put_parts(parts[1:2], LARGE, part_bytes)

    early = await desk.finalize(ticket, signed)
    assert early.error["failure"] == "OBJECT_NOT_FOUND"
    upload = await upload_of(desk.runner.owner, signed["uri"])
    assert upload is not None
    progress = await desk.vault.progress(upload, 60, sign=True)
    assert (progress.received, progress.parts_received) == (False, frozenset({2}))
    assert [part.part_number for part in progress.missing] == [1, 3]

    await desk.put_parts([part.model_dump() for part in progress.missing], LARGE, part_bytes)
    item = await desk.runner.done("evidence.finalize", {"uri": signed["uri"]}, ticket)
    assert item["checksum"] == hashlib.sha256(LARGE).hexdigest()
    assert item["object_version_id"] is not None
    progress = await desk.vault.progress(upload, 60, sign=True)
    assert (progress.received, progress.parts_received) == (True, frozenset({1, 2, 3}))


async def test_parts_that_make_other_bytes_are_not_recorded(desk: Desk) -> None:
    ticket = await desk.runner.create()
    signed = await desk.announce(ticket, LARGE)
    multipart = signed["multipart"]
    await desk.put_parts(multipart["parts"], LARGE[::-1], multipart["part_bytes"])
    assert (await desk.finalize(ticket, signed)).error["failure"] == "SHA256_MISMATCH"
    short = {**multipart["parts"][0], "size_bytes": 5}
    answer = await desk.web.put(short["url"], content=b"short")
    assert answer.status_code == 403


async def test_a_small_file_is_announced_as_ever(desk: Desk) -> None:
    signed = await desk.announce(await desk.runner.create(), b"x")
    assert "multipart" not in signed


async def test_the_same_bytes_are_recorded_once_for_each_evidence_key(desk: Desk) -> None:
    ticket, content = await desk.runner.create(), photo()
    first = await desk.record(ticket, content, evidence_key=KEY)
    again = await desk.upload(ticket, content, evidence_key=KEY)
    assert await desk.runner.done("evidence.finalize", {"uri": again["uri"]}, ticket) == first
    repeat = await desk.finalize(ticket, again)
    assert repeat.code == "EVIDENCE_UPLOAD_FINALIZED"
    assert repeat.error["evidence_item_id"] == first["id"]
    other = await desk.record(ticket, content, evidence_key="another")
    assert other["id"] != first["id"]
    assert len(await desk.runner.rows("SELECT FROM evidence_items")) == 2

    assert await desk.care().sweep_uploads() == Swept(uploads=1)
    with pytest.raises(ClientError):
        desk.client.head_object(**place(again))
    for item in (first, other):
        desk.client.head_object(**pinned(item))


@pytest.mark.parametrize(
    ("image_format", "content_type"), [("JPEG", "image/jpeg"), ("HEIF", "image/heic")]
)
async def test_an_image_is_recorded_with_what_it_shows(
    desk: Desk, image_format: str, content_type: str
) -> None:
    ticket = await desk.runner.create()
    content = photo(image_format=image_format)
    signed = await desk.upload(ticket, content, content_type=content_type)
    sent = {"inspection": {"image": "mine"}, "note": "n"}
    item = await desk.runner.done(
        "evidence.finalize", {"uri": signed["uri"], "metadata": sent}, ticket
    )
    inspection = item["metadata"].pop("inspection")
    thumbnail = inspection.pop("thumbnail")
    assert inspection == {"image": {"width": 640, "height": 480}, **TAKEN}
    assert set(item["metadata"]) == {"note", "evidence_key", "upload_id", "sha256"}
    kept = desk.client.get_object(**place(thumbnail))
    assert (kept["ContentType"], kept["Body"].read(3)) == ("image/jpeg", b"\xff\xd8\xff")
    assert await desk.faults() == []

    await desk.runner.owner.execute(
        """UPDATE evidence_items
              SET metadata = jsonb_set(metadata, '{inspection,captured_at}', '"2026-01-01"')"""
    )
    assert await desk.faults() == ["metadata.inspection is not what its id vouches for"]
    await desk.runner.owner.execute("UPDATE evidence_items SET metadata = metadata - 'inspection'")
    assert len(await desk.faults()) == 1


async def test_content_that_shows_another_type_is_not_recorded(desk: Desk) -> None:
    ticket = await desk.runner.create()
    signed = await desk.upload(ticket, b"%PDF-1.7 of a photo")
    error = (await desk.finalize(ticket, signed)).error
    assert (error["failure"], error["actual"]) == ("CONTENT_TYPE_MISMATCH", "application/pdf")


async def test_what_nobody_finalized_is_swept_and_cannot_come_back(desk: Desk) -> None:
    ticket = await desk.runner.create()
    left = await desk.upload(ticket, b"left behind")
    in_parts = await desk.announce(ticket, LARGE)
    kept = await desk.record(ticket, b"finalized")
    patient = EvidenceRates(timedelta(hours=1), timedelta(0), 0)
    assert (await desk.care(patient).sweep_uploads()).uploads == 0

    swept = await desk.care().sweep_uploads()
    assert (swept.uploads, swept.kept, swept.multiparts) == (2, 0, 1)
    assert (await desk.care().sweep_uploads()).uploads == 0
    for signed in (left, in_parts):
        with pytest.raises(ClientError):
            desk.client.head_object(**place(signed))
        assert (await desk.finalize(ticket, signed)).code == "EVIDENCE_UPLOAD_NOT_FOUND"
    desk.client.head_object(**pinned(kept))


def spellings(uri: str) -> list[str]:
    """Return a reference as other texts that lead to the same object."""
    key = uri.removeprefix(f"s3://{BUCKET}/")
    folder, name = key.rsplit("/", 1)
    return [
        uri,
        f"S3://{BUCKET}/{key}",
        f"minio://{BUCKET}/{key}",
        f"s3://{BUCKET}//{key}",
        f"s3://{BUCKET}/{folder}//{name}",
        f"s3://{BUCKET}/{folder}/./{name}",
        f"s3://{BUCKET}/{folder}/../{folder.rsplit('/', 1)[1]}/{name}/",
    ]


async def test_an_upload_that_is_not_finalized_cannot_be_added_by_reference(desk: Desk) -> None:
    ticket, other = await desk.runner.create(), await desk.runner.create()
    signed = await desk.upload(ticket, b"never judged")
    for subject in (ticket, other):
        for uri in spellings(signed["uri"]):
            reference = {"kind": "PHOTO", "uri": uri, "evidence_key": KEY}
            refused = await desk.runner.run("closeout.add_evidence", reference, subject)
            assert refused.code == "EVIDENCE_UPLOAD_NOT_FINALIZED", uri
            assert refused.error["upload_id"] == signed["upload_id"]
    assert (await desk.finalize(ticket, signed)).status == 201
    reference = {"kind": "PHOTO", "uri": signed["uri"], "evidence_key": KEY}
    await desk.runner.done("closeout.add_evidence", reference, other)


async def test_the_sweep_removes_no_bytes_that_evidence_names(desk: Desk) -> None:
    ticket, other = await desk.runner.create(), await desk.runner.create()
    named = [await desk.upload(ticket, b"by reference %d" % number) for number in range(7)]
    for number, signed in enumerate(named):  # as rows were before such references were refused
        await desk.runner.owner.execute(
            "INSERT INTO evidence_items (ticket_id, kind, uri) VALUES ($1, 'PHOTO', $2)",
            other if number % 2 else ticket,
            spellings(signed["uri"])[number],
        )
    first = await desk.record(ticket, b"the same bytes", evidence_key=KEY)
    twin = await desk.upload(ticket, b"the same bytes", evidence_key=KEY)
    assert (await desk.finalize(ticket, twin)).body["id"] == first["id"]
    reference = {"kind": "PHOTO", "uri": twin["uri"]}
    await desk.runner.done("closeout.add_evidence", reference, ticket)
    left = await desk.upload(ticket, b"left behind")

    assert (await desk.care().sweep_uploads()).uploads == 1
    for signed in (*named, twin):
        desk.client.head_object(**place(signed))
    with pytest.raises(ClientError):
        desk.client.head_object(**place(left))
    assert await desk.pool.fetch("SELECT * FROM stale_uploads(now() + '1 h', 99)") == []
