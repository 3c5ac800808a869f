"""Addresses of others: a request that they name must not become a way into our own network."""

import asyncio
import socket
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from typing import Any, NamedTuple

import httpx

_UNICAST = IPv6Network("2000::/3")
_TRANSLATED = IPv6Network("64:ff9b::/96")
# Special, though the library calls them global: protocol assignments, an old relay, documentation.
_SPECIAL_4 = (IPv4Network("192.0.0.0/24"), IPv4Network("192.88.99.0/24"))
_SPECIAL_6 = (IPv6Network("3fff::/20"),)


class PrivateHostError(Exception):
    """The host has an address that is not public."""


class Target(NamedTuple):
    """Where a request goes, and what it must carry to be the one for the host that was named."""

    url: httpx.URL
    headers: Mapping[str, str]
    extensions: Mapping[str, Any]


@dataclass(frozen=True)
class PublicHosts:
    """Lets requests out to public addresses only, where `guarded`, and to the trusted hosts."""

    guarded: bool
    trusted_hosts: Collection[str]

    async def target(self, url: httpx.URL) -> Target:
        """Return the target of a request; raise `PrivateHostError`, or OSError for no address.

        The connection goes to the very address that was checked, whatever the name means next.
        """
        if not self.guarded or url.host in self.trusted_hosts:
            return Target(url, {}, {})
        return Target(
            url.copy_with(host=await _public_address(url.host)),
            {"Host": url.netloc.decode("ascii")},
            {"sni_hostname": url.host},
        )


def is_public(text: str) -> bool:
    """Return whether an address is one of the public network, in whatever form it is wrapped."""
    address = ip_address(text)
    if isinstance(address, IPv6Address):
        wrapped = _wrapped(address)
        return _is_public_4(wrapped) if wrapped is not None else _is_public_6(address)
    return _is_public_4(address)


def _wrapped(address: IPv6Address) -> IPv4Address | None:
    """Return the IPv4 address that a mapped, 6to4 or translated (NAT64) one leads to."""
    if address in _TRANSLATED:
        return IPv4Address(int(address) & 0xFFFF_FFFF)
    return address.ipv4_mapped or address.sixtofour


def _is_public_4(address: IPv4Address) -> bool:
    special = any(address in network for network in _SPECIAL_4)
    return address.is_global and not address.is_multicast and not special


def _is_public_6(address: IPv6Address) -> bool:
    special = any(address in network for network in _SPECIAL_6)
    return address in _UNICAST and address.is_global and not special


async def _public_address(host: str) -> str:
    """Return an address of `host`, or raise `PrivateHostError` unless all of them are public."""
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    addresses = [str(entry[4][0]) for entry in found]
    if not all(map(is_public, addresses)):
        raise PrivateHostError("the host has an address that is not public")
    return addresses[0]
