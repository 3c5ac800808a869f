"""Nothing of the embedded stack answers who brings no credentials, on any port that it opens."""

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import urlsplit

import asyncpg
import httpx
import psutil
import pytest
import pytest_asyncio

from runtime.stack import EmbeddedStack, PartName, Ports
from runtime.stack.ports import LOOPBACK

pytestmark = pytest.mark.asyncio(loop_scope="module")

REBOUND = {"Host": "rebound.example", "Origin": "http://rebound.example"}
LISTINGS = ("/", "/buckets/", "/dir/assign", "/dir/status", "/vol/grow?count=1", "/status")
REFUSED = {400, 401, 403, 404, 405}
INNER = ("master", "volume", "filer", "admin", "grpc")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def stack(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[EmbeddedStack]:
    folder = tmp_path_factory.mktemp("ports")
    parts = {PartName.POSTGRES, PartName.TEMPORAL, PartName.S3}
    async with EmbeddedStack(folder, parts=parts) as running:
        yield running


def listeners(stack: EmbeddedStack, part: PartName) -> dict[int, str]:
    """Return the address by port of everything that a part and its children listen on."""
    process = psutil.Process(stack.pid(part))
    family = [process, *process.children(recursive=True)]
    found = [each for one in family for each in one.net_connections("inet")]
    return {each.laddr.port: each.laddr.ip for each in found if each.status == "LISTEN"}


def s3_port(stack: EmbeddedStack) -> int:
    return httpx.URL(stack.env["DISPATCH_S3_ENDPOINT_URL"]).port or 0


def answered(port: int) -> bytes:
    """Return what a port sends to whoever speaks TLS and shows no certificate."""
    trusting = ssl.create_default_context()
    trusting.check_hostname, trusting.verify_mode = False, ssl.CERT_NONE
    try:
        with (
            socket.create_connection((LOOPBACK, port), timeout=5) as plain,
            trusting.wrap_socket(plain) as tls,
        ):
            tls.sendall(b"GET /dir/assign HTTP/1.1\r\nHost: localhost\r\n\r\n")
            return tls.recv(1000)
    except OSError:
        return b""


@pytest.mark.parametrize("part", [PartName.POSTGRES, PartName.TEMPORAL, PartName.S3])
async def test_every_port_of_every_server_is_on_loopback(
    stack: EmbeddedStack, part: PartName
) -> None:
    found = listeners(stack, part)
    assert found
    assert set(found.values()) == {LOOPBACK}


async def test_the_inner_ports_of_the_object_store_answer_nobody_without_the_certificate(
    stack: EmbeddedStack,
) -> None:
    inner = listeners(stack, PartName.S3).keys() - {s3_port(stack)}
    assert len(inner) >= len(INNER)
    for port in inner:
        assert await asyncio.to_thread(answered, port) == b"", port
        async with httpx.AsyncClient(base_url=f"http://{LOOPBACK}:{port}", timeout=5) as client:
            for method in ("GET", "POST", "PUT", "DELETE"):
                for path in LISTINGS:
                    try:
                        answer = await client.request(method, path, headers=REBOUND)
                    except httpx.HTTPError:  # it speaks TLS, and says so by hanging up
                        continue
                    assert answer.status_code == 400, (port, method, path)
                    assert "access-control-allow-origin" not in answer.headers


async def test_the_signed_port_of_the_object_store_neither_lists_nor_takes_nor_deletes(
    stack: EmbeddedStack,
) -> None:
    bucket = stack.env["DISPATCH_S3_BUCKET"]
    form = {"file": b"bytes"}
    async with httpx.AsyncClient(base_url=stack.env["DISPATCH_S3_ENDPOINT_URL"]) as client:
        for answer in (
            await client.get("/", headers=REBOUND),
            await client.get(f"/{bucket}?list-type=2", headers=REBOUND),
            await client.put(f"/{bucket}/planted", content=b"bytes", headers=REBOUND),
            await client.post(f"/{bucket}", data={"key": "planted"}, files=form, headers=REBOUND),
            await client.post("/", data={"Action": "ListUsers"}, headers=REBOUND),
            await client.delete(f"/{bucket}/planted", headers=REBOUND),
            await client.delete(f"/{bucket}", headers=REBOUND),
        ):
            assert answer.status_code in REFUSED, answer.text


async def test_the_engines_http_port_knows_no_foreign_host(stack: EmbeddedStack) -> None:
    ui = httpx.URL(stack.urls["Temporal UI"]).port
    for port in listeners(stack, PartName.TEMPORAL).keys() - {ui}:
        async with httpx.AsyncClient(base_url=f"http://{LOOPBACK}:{port}", timeout=5) as client:
            try:
                answer = await client.get("/api/v1/namespaces", headers=REBOUND)
            except httpx.HTTPError:  # gRPC
                continue
            assert answer.status_code in REFUSED, port


async def test_without_a_ui_no_page_can_be_led_to_one(tmp_path: Path) -> None:
    ports = Ports(ui=None)
    async with EmbeddedStack(tmp_path, parts={PartName.TEMPORAL}, ports=ports) as headless:
        assert "Temporal UI" not in headless.urls
        for port in listeners(headless, PartName.TEMPORAL):
            async with httpx.AsyncClient(timeout=5) as client:
                try:
                    answer = await client.get(f"http://{LOOPBACK}:{port}/", headers=REBOUND)
                except httpx.HTTPError:  # gRPC
                    continue
                assert "html" not in answer.headers.get("content-type", "")


async def test_the_database_lets_nobody_in_without_a_password(stack: EmbeddedStack) -> None:
    url = urlsplit(stack.env["DISPATCH_DATABASE_URL"])
    for user in ("postgres", "dispatch_owner", "dispatch", "dispatch_app"):
        for password in ("", "postgres", user):
            with pytest.raises(asyncpg.PostgresError):
                await asyncpg.connect(
                    host=url.hostname, port=url.port, user=user, password=password, timeout=5
                )
