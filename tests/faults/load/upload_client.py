"""A technician's phone: uploads its share of files, however often it is killed and started again.

Everything is derived from the number of a file, so a new process goes on where the last one died.
"""

import asyncio
import hashlib
import os
import random
import sys
from collections.abc import AsyncIterator, Mapping
from typing import Any, NamedTuple
from uuid import NAMESPACE_OID, uuid5

import httpx

BLOCK_BYTES = 1 << 16
HEAD = b"\xff\xd8\xff\xe0"
PAUSE_SECONDS = 0.05
DEFECT = 500
SMALLEST, LARGEST = 1000, 50 * 1000 * 1000
IDENTITY = {"X-Actor-Id": "technician-1", "X-Actor-Role": "technician"}
Retried = (httpx.HTTPError, OSError)


class File(NamedTuple):
    """A file that exists only as its number and size."""

    number: int
    size_bytes: int

    def block(self, index: int) -> bytes:
        """Return one block of 64 KiB; the first begins like a JPEG."""
        start = HEAD if index == 0 else b""
        seed = hashlib.sha256(f"{self.number}/{index}".encode()).digest()
        left = min(BLOCK_BYTES, self.size_bytes - index * BLOCK_BYTES)
        return (start + seed * (BLOCK_BYTES // len(seed)))[:left]

    def blocks(self, start: int, size_bytes: int) -> list[bytes]:
        """Return a stretch of the file, cut at the borders of its blocks."""
        end = start + size_bytes
        found = []
        for index in range(start // BLOCK_BYTES, -(-end // BLOCK_BYTES)):
            first = index * BLOCK_BYTES
            found.append(self.block(index)[max(0, start - first) : end - first])
        return found

    @property
    def sha256(self) -> str:
        """The digest of the file."""
        digest = hashlib.sha256()
        for index in range(-(-self.size_bytes // BLOCK_BYTES)):
            digest.update(self.block(index))
        return digest.hexdigest()

    @property
    def evidence_key(self) -> str:
        """The requirement that it answers."""
        return f"file_{self.number}"

    def key(self, tool: str, attempt: int = 0) -> str:
        """Return the idempotency key of a command about it."""
        return str(uuid5(NAMESPACE_OID, f"{self.number}/{tool}/{attempt}"))


def file_of(number: int, largest: int = LARGEST) -> File:
    """Return the file of a number; every order of magnitude is as likely as any other."""
    chance = random.Random(number)  # noqa: S311  no secret
    exponent = chance.uniform(0, 1)
    return File(number, int(SMALLEST * (largest / SMALLEST) ** exponent))


class Phone:
    """One client, which gives up on nothing."""

    def __init__(
        self, api: httpx.AsyncClient, store: httpx.AsyncClient, wire: str, ticket: str
    ) -> None:
        self._api = api
        self._store = store
        self._wire = httpx.URL(wire)
        self._ticket = ticket

    async def deliver(self, file: File) -> None:
        """Upload a file and finalize it."""
        announced = {
            "kind": "PHOTO",
            "evidence_key": file.evidence_key,
            "content_type": "image/jpeg",
            "size_bytes": file.size_bytes,
            "sha256": file.sha256,
        }
        signed = await self._command("presign", announced, file.key("presign"))
        while True:
            status = await self._status(signed["upload_id"])
            if status["status"] == "finalized":
                return
            if not status["received"]:
                await self._send(file, signed, status)
            answer = await self._command("finalize", {"uri": signed["uri"]}, file.key("finalize"))
            if "id" in answer:
                return

    async def _send(self, file: File, signed: Mapping[str, Any], status: Mapping[str, Any]) -> None:
        multipart = status["multipart"]
        if multipart is None:
            permission = {**signed["upload"], "size_bytes": file.size_bytes}
            await self._put(file, 0, permission)
            return
        for part in multipart["parts"]:
            await self._put(file, (part["part_number"] - 1) * multipart["part_bytes"], part)

    async def _put(self, file: File, start: int, permission: Mapping[str, Any]) -> None:
        async def body() -> AsyncIterator[bytes]:
            for block in file.blocks(start, permission["size_bytes"]):
                yield block

        signed_for = httpx.URL(permission["url"])
        by_wire = signed_for.copy_with(host=self._wire.host, port=self._wire.port)
        headers = {**permission["headers"], "Host": signed_for.netloc.decode()}
        try:
            await self._store.put(by_wire, content=body(), headers=headers)
        except Retried:  # whether it came through is asked next
            await asyncio.sleep(PAUSE_SECONDS)

    async def _status(self, upload_id: str) -> Any:  # noqa: ANN401  any answer
        path = f"/tickets/{self._ticket}/evidence/uploads/{upload_id}"
        while True:
            try:
                answer = await self._api.get(path, headers=IDENTITY)
            except Retried:
                await asyncio.sleep(PAUSE_SECONDS)
                continue
            assert answer.status_code != DEFECT, answer.text
            if answer.is_success:
                return answer.json()
            await asyncio.sleep(PAUSE_SECONDS)

    async def _command(self, verb: str, payload: Mapping[str, Any], key: str) -> Any:  # noqa: ANN401
        path = f"/tickets/{self._ticket}/evidence/{verb}"
        headers = {**IDENTITY, "Idempotency-Key": key}
        while True:
            try:
                answer = await self._api.post(path, json=payload, headers=headers)
            except Retried:
                await asyncio.sleep(PAUSE_SECONDS)
                continue
            assert answer.status_code != DEFECT, answer.text
            if answer.status_code in {200, 201, 409}:
                return answer.json()
            await asyncio.sleep(PAUSE_SECONDS)


async def run(api_url: str, wire: str, ticket: str, numbers: range, largest: int) -> None:
    """Deliver all files, a few at a time, in an order of this process's own."""
    order = list(numbers)
    random.Random(os.getpid()).shuffle(order)  # noqa: S311  no secret
    limit = asyncio.Semaphore(4)
    async with (
        httpx.AsyncClient(base_url=api_url, trust_env=False, timeout=20) as api,
        httpx.AsyncClient(trust_env=False, timeout=5) as store,
    ):
        phone = Phone(api, store, wire, ticket)

        async def one(number: int) -> None:
            async with limit:
                await phone.deliver(file_of(number, largest))

        await asyncio.gather(*map(one, order))


if __name__ == "__main__":
    _, url, store_url, ticket_id, first, last, most = sys.argv
    asyncio.run(run(url, store_url, ticket_id, range(int(first), int(last)), int(most)))
