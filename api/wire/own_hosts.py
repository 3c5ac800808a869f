"""Which names a development gateway answers to: a page in a browser must not borrow its trust.

Where X-Actor-* headers are believed, whoever reaches the port is anybody. A foreign page reaches it
once the page's own name is made to lead to loopback; but then its name stands in Host and Origin.
"""

from collections.abc import Iterator
from ipaddress import ip_address
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.types import ASGIApp, Receive, Scope, Send

from api.wire.answers import error_answer
from api.wire.errors import AuthRequiredError
from api.wire.serving import request_log_of
from runtime.settings import Settings

REFUSED = (
    "In development this gateway answers on loopback, under its own address and under "
    "DISPATCH_API_TRUSTED_HOSTS, and to pages from there."
)


class OwnHosts:
    """Lets a request through if it names this gateway, and comes from no foreign page."""

    def __init__(self, app: ASGIApp, settings: Settings) -> None:
        self._app = app
        own = (settings.api_host.lower(), urlsplit(settings.api_url).hostname or "")
        self._trusted = frozenset(settings.api_trusted_hosts)
        self._names = self._trusted.union(own) - {"", "0.0.0.0", "::"}  # noqa: S104  no names
        self._ui_origin = (settings.temporal_ui_origin or "").rstrip("/")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection event."""
        if scope["type"] == "http" and not self.is_own(scope["method"], Headers(scope=scope)):
            request_log = request_log_of(Request(scope))
            error = AuthRequiredError(REFUSED)
            request_log.error_code, request_log.message = error.code, error.message
            await error_answer(error, request_log.context).response()(scope, receive, send)
        else:
            await self._app(scope, receive, send)

    def is_own(self, method: str, headers: Headers) -> bool:
        """Whether a request names this gateway alone, and comes from no foreign page."""
        hosts = {host.strip().lower() for host in headers.getlist("host")}
        if len(hosts) != 1 or not self._is_trusted(host := hosts.pop()):
            return False
        if method == "OPTIONS":  # a browser's own question, without effect; its route answers it
            return True
        return all(self._may_ask(origin, host) for origin in headers.getlist("origin"))

    def _may_ask(self, origin: str, host: str) -> bool:
        """Return whether a page of this origin is ours: of the same address, or configured."""
        scheme, _, authority = origin.strip().lower().partition("://")
        if origin == self._ui_origin:
            return True
        own = authority == host or not self._trusted.isdisjoint(_spellings(authority))
        return scheme in {"http", "https"} and own

    def _is_trusted(self, authority: str) -> bool:
        return any(_is_loopback(name) or name in self._names for name in _spellings(authority))


def _spellings(authority: str) -> Iterator[str]:
    """Yield the authority as it is written and its host alone; nothing if it is none."""
    try:
        parts = urlsplit(f"//{authority}")
        _, host = parts.port, parts.hostname
    except ValueError:
        return
    if host and parts.netloc == authority and "@" not in authority:
        yield authority
        yield host


def _is_loopback(name: str) -> bool:
    try:
        return name == "localhost" or ip_address(name).is_loopback
    except ValueError:
        return False
