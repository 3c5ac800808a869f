"""Which addresses are public, whatever they are wrapped in, and where a request really goes."""

import asyncio
import socket
from typing import Any

import httpx
import pytest

from runtime.public_hosts import PrivateHostError, PublicHosts, is_public

PRIVATE = (
    *("127.0.0.1", "127.1.2.3", "10.1.2.3", "172.16.0.1", "192.168.1.1", "169.254.169.254"),
    *("0.0.0.0", "0.1.2.3", "100.64.0.1", "198.18.0.1", "192.0.0.8", "192.0.2.1", "192.88.99.1"),  # noqa: S104
    *("224.0.0.1", "240.0.0.1", "255.255.255.255", "::", "::1", "::127.0.0.1", "::10.0.0.1"),
    *("::ffff:127.0.0.1", "::ffff:169.254.169.254", "::ffff:0:127.0.0.1", "::8.8.8.8"),
    *("64:ff9b::a9fe:a9fe", "64:ff9b::7f00:1", "64:ff9b::10.0.0.1", "64:ff9b:1::8.8.8.8"),
    *("2002:7f00:1::1", "2002:a9fe:a9fe::1", "2001:0:1::1", "2001:20::1", "2001:db8::1"),
    *("3fff::1", "fc00::1", "fd00::1", "fe80::1", "fe80::1%lo", "fec0::1", "ff02::1", "5f00::1"),
    *("100::1", "4000::1"),
)
PUBLIC = (
    *("8.8.8.8", "1.1.1.1", "172.32.0.1", "2606:4700:4700::1111", "2a00:1450::1"),
    *("::ffff:8.8.8.8", "64:ff9b::8.8.8.8", "2002:808:808::1"),
)
GUARDED = PublicHosts(guarded=True, trusted_hosts=("inside.example",))


@pytest.mark.parametrize("address", PRIVATE)
def test_an_address_of_our_own_network_is_not_public_in_any_form(address: str) -> None:
    assert not is_public(address)


@pytest.mark.parametrize("address", PUBLIC)
def test_an_address_of_the_public_network_is(address: str) -> None:
    assert is_public(address)


def resolving(monkeypatch: pytest.MonkeyPatch, *answers: list[str]) -> None:
    """Let names lead to these addresses, each time to the next ones."""
    left = [*answers]

    async def getaddrinfo(*_: object, **__: object) -> list[Any]:
        found = left.pop(0)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (each, 0)) for each in found]

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", getaddrinfo)


async def test_the_connection_goes_to_the_address_that_was_checked(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The name may mean another address a moment later; nobody asks it again."""
    resolving(monkeypatch, ["8.8.8.8"], ["127.0.0.1"])
    target = await GUARDED.target(httpx.URL("https://rebinding.example:8443/hook?x=1"))
    assert str(target.url) == "https://8.8.8.8:8443/hook?x=1"
    assert target.headers == {"Host": "rebinding.example:8443"}
    assert target.extensions == {"sni_hostname": "rebinding.example"}
    with pytest.raises(PrivateHostError):
        await GUARDED.target(httpx.URL("https://rebinding.example:8443/hook"))


async def test_one_private_address_among_public_ones_is_enough(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    resolving(monkeypatch, ["8.8.8.8", "64:ff9b::a9fe:a9fe"])
    with pytest.raises(PrivateHostError):
        await GUARDED.target(httpx.URL("https://mixed.example/"))


async def test_a_trusted_host_is_reached_wherever_it_is() -> None:
    url = httpx.URL("https://inside.example/")
    assert (await GUARDED.target(url)).url == url
    assert (await PublicHosts(guarded=False, trusted_hosts=()).target(url)).url == url
