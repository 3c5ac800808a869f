"""HTTP look-ups: what counts as found, and which addresses are never asked."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from records.evidence.http_head import HttpHead
from runtime.objects.checksums import base64_of_hex

SHA256 = "ab" * 32
ANSWERS = {
    "/found": (
        "200 OK",
        f'ETag: "e"\r\nContent-MD5: m\r\nx-amz-checksum-sha256: {base64_of_hex(SHA256)}',
    ),
    "/moved": ("302 Found", "Location: /found"),
    "/round": ("302 Found", "Location: /round"),
    "/away": ("302 Found", "Location: ftp://example.com/a"),
    "/gone": ("404 Not Found", "X-A: b"),
}


@pytest.fixture
async def origin() -> AsyncIterator[str]:
    """Serve ANSWERS on a loopback port; `/silent` never answers."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        method, path, _ = (await reader.readline()).decode().split()
        assert method == "HEAD"
        if path in ANSWERS:
            status, headers = ANSWERS[path]
            head = (
                f"HTTP/1.1 {status}\r\n{headers}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
            )
            writer.write(head.encode())
            await writer.drain()
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    server.close()


def looking(
    *, guarded: bool = False, trusted: tuple[str, ...] = (), schemes: tuple[str, ...] = ("http",)
) -> HttpHead:
    return HttpHead(schemes=schemes, trusted_hosts=trusted, guarded=guarded, limit_seconds=0.2)


@pytest.mark.parametrize("path", ["/found", "/moved"])
async def test_an_answer_of_two_hundred_is_found(origin: str, path: str) -> None:
    found = await looking().look_up(origin + path)
    assert found.failure is None
    assert (found.sha256, found.etag, found.content_md5) == (SHA256, '"e"', "m")


@pytest.mark.parametrize(
    ("path", "failure"),
    [
        ("/gone", "UNREACHABLE_URI"),
        ("/round", "UNREACHABLE_URI"),
        ("/away", "UNREACHABLE_URI"),
        ("/silent", "HEAD_TIMEOUT"),
    ],
)
async def test_every_other_answer_has_its_code(origin: str, path: str, failure: str) -> None:
    assert (await looking().look_up(origin + path)).failure == failure


@pytest.mark.parametrize(
    ("uri", "failure"),
    [
        ("http://127.0.0.1:1/a", "NETWORK_ERROR"),
        ("http://no.such.host.invalid/a", "NETWORK_ERROR"),
        ("https://127.0.0.1/a", "UNREACHABLE_URI"),
        ("http:///a", "UNREACHABLE_URI"),
        ("http://[bad/a", "NETWORK_ERROR"),
        ("http://a b/a", "NETWORK_ERROR"),
    ],
)
async def test_an_address_that_cannot_be_asked_has_its_code(uri: str, failure: str) -> None:
    assert (await looking().look_up(uri)).failure == failure


@pytest.mark.parametrize(
    "host",
    [
        *("127.0.0.1", "localhost", "10.1.2.3", "192.168.1.1", "172.16.0.1", "169.254.169.254"),
        *("0.0.0.0", "[::1]", "[fe80::1]", "[fd00::1]", "[::ffff:127.0.0.1]", "2130706433"),  # noqa: S104  asked for, not bound
        *("[2002:7f00:1::]", "224.0.0.1", "100.64.0.1"),
        *("[64:ff9b::a9fe:a9fe]", "[::127.0.0.1]", "[64:ff9b::7f00:1]", "[fec0::1]", "[::7f00:1]"),
    ],
)
async def test_a_guarded_look_up_never_asks_our_own_network(host: str) -> None:
    found = await looking(guarded=True).look_up(f"http://{host}:1/a")
    assert found.failure == "UNREACHABLE_URI"


async def test_a_trusted_host_is_asked_even_when_guarded(origin: str) -> None:
    guarded = looking(guarded=True, trusted=("127.0.0.1",))
    assert (await guarded.look_up(f"{origin}/found")).failure is None
