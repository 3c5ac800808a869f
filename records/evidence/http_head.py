"""HTTP HEAD of an evidence reference, without becoming a way into our network (contract 9.5)."""

import ssl
from collections.abc import Collection
from dataclasses import dataclass, field

import httpx

from policy.evidence.model import LookUp
from runtime.objects.checksums import hex_of_base64
from runtime.public_hosts import PrivateHostError, PublicHosts

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
        except (
            *(_RefusedError, PrivateHostError, UnicodeError),
            *(httpx.InvalidURL, httpx.UnsupportedProtocol),
        ) as error:
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
        hosts = PublicHosts(self.guarded, self.trusted_hosts)
        target = await hosts.target(url)
        return client.build_request(
            "HEAD", target.url, headers=dict(target.headers), extensions=dict(target.extensions)
        )


def _found(response: httpx.Response) -> LookUp:
    if not response.is_success:
        return LookUp(failure="UNREACHABLE_URI", message=f"HTTP {response.status_code}")
    headers = response.headers
    return LookUp(
        sha256=hex_of_base64(headers.get("x-amz-checksum-sha256")),
        etag=headers.get("etag"),
        content_md5=headers.get("content-md5"),
    )
