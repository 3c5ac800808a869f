"""HTTP HEAD of an evidence reference, without becoming a way into our network (contract 9.5)."""

import asyncio
import socket
import ssl
from collections.abc import Collection
from dataclasses import dataclass, field
from ipaddress import ip_address

import httpx

from policy.evidence.model import LookUp
from runtime.objects.checksums import hex_of_base64

MAX_REDIRECTS = 5


class _RefusedError(Exception):
    """The address, or where it redirects to, may not be asked."""


@dataclass(frozen=True)
class HttpHead:
    """Asks web servers for the head of a resource.

    `schemes` are the allowed ones. With `guarded`, an address must be public unless its host is
    among `trusted_hosts`; the connection then goes to the very address that was checked.
    """

    schemes: Collection[str]
    trusted_hosts: Collection[str]
    guarded: bool
    limit_seconds: float
    tls: ssl.SSLContext = field(default_factory=ssl.create_default_context)

    async def look_up(self, uri: str) -> LookUp:
        """Return what is found under `uri`; every failure is a value."""
        try:
            async with httpx.AsyncClient(
                verify=self.tls, trust_env=False, timeout=self.limit_seconds
            ) as client:
                return _found(await self._head(client, uri))
        except (_RefusedError, httpx.InvalidURL, httpx.UnsupportedProtocol, UnicodeError) as error:
            return LookUp(failure="UNREACHABLE_URI", message=str(error))
        except httpx.TimeoutException:
            return LookUp(failure="HEAD_TIMEOUT", message="no answer in time")
        except (httpx.HTTPError, OSError) as error:
            return LookUp(failure="NETWORK_ERROR", message=str(error) or "no connection")

    async def _head(self, client: httpx.AsyncClient, uri: str) -> httpx.Response:
        url = httpx.URL(uri)
        for _ in range(MAX_REDIRECTS + 1):
            response = await client.send(await self._request(client, url))
            if not response.has_redirect_location:
                return response
            url = url.join(response.headers["location"])
        raise _RefusedError("too many redirects")

    async def _request(self, client: httpx.AsyncClient, url: httpx.URL) -> httpx.Request:
        if url.scheme not in self.schemes or url.scheme not in {"http", "https"} or not url.host:
            raise _RefusedError(f"addresses of scheme {url.scheme} are not followed")
        if not self.guarded or url.host in self.trusted_hosts:
            return client.build_request("HEAD", url)
        address = await _public_address(url.host)
        return client.build_request(
            "HEAD",
            url.copy_with(host=address),
            headers={"Host": url.netloc.decode("ascii")},
            extensions={"sni_hostname": url.host},
        )


async def _public_address(host: str) -> str:
    """Return an address of `host`, or raise `_RefusedError` unless all of them are public."""
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    addresses = [str(entry[4][0]) for entry in found]
    for text in addresses:
        address = ip_address(text)
        mapped = getattr(address, "ipv4_mapped", None) or getattr(address, "sixtofour", None)
        if not (mapped or address).is_global or address.is_multicast:
            raise _RefusedError("the host has an address that is not public")
    return addresses[0]


def _found(response: httpx.Response) -> LookUp:
    if not response.is_success:
        return LookUp(failure="UNREACHABLE_URI", message=f"HTTP {response.status_code}")
    headers = response.headers
    return LookUp(
        sha256=hex_of_base64(headers.get("x-amz-checksum-sha256")),
        etag=headers.get("etag"),
        content_md5=headers.get("content-md5"),
    )
