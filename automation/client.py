"""The gateway as the automation sees it: a client like any other, that says what it is."""

from collections.abc import Mapping
from hashlib import sha256
from types import MappingProxyType
from typing import Any
from uuid import UUID

import httpx

from automation.tally import Tally
from contracts.command import AUTOMATION_HEADER
from policy.rules.bundle import Bundle
from runtime.settings import Settings

ACCEPTED = 202
QUEUE_PAGE = 1000
TICKET_PARAMETER = "{ticketId}"
Query = Mapping[str, str]
NO_QUERY: Query = MappingProxyType({})


class GatewayError(Exception):
    """The gateway refused, or did not answer; `code` is the contract's, or says what happened."""

    def __init__(self, code: str, status: int | None, details: Mapping[str, Any]) -> None:
        super().__init__(code)
        self.code = code
        self.status = status
        self.details = details


def http_client(settings: Settings) -> httpx.AsyncClient:
    """Return a client with the automation's identity: its token, or else dev headers."""
    headers = {AUTOMATION_HEADER: settings.worker_identity}
    if settings.worker_token is not None:
        headers["Authorization"] = f"Bearer {settings.worker_token.get_secret_value()}"
    else:
        headers["X-Actor-Id"] = settings.worker_actor_id
        headers["X-Actor-Role"] = settings.worker_actor_role
        headers["X-Actor-Type"] = settings.worker_actor_type.value
    seconds = settings.worker_request_timeout_ms / 1000
    # A second before we give up, the gateway answers that the command runs on.
    headers["Prefer"] = f"wait={max(0, int(seconds) - 1)}"
    return httpx.AsyncClient(base_url=settings.api_url, headers=headers, timeout=seconds)


def derived_key(identity: str, action: str, ticket_id: str, version: int, attempt: int) -> UUID:
    """Return the idempotency key of an action on one version of a ticket.

    A repeat has the same one. `attempt` counts the proposals for this version that were refused.
    """
    parts = (identity, action, ticket_id, version, *((attempt,) if attempt else ()))
    return UUID(sha256("\n".join(map(str, parts)).encode()).hexdigest()[:32])


class Gateway:
    """Reads and commands, by tool name; every call is counted."""

    def __init__(self, http: httpx.AsyncClient, bundle: Bundle, tally: Tally) -> None:
        self._http = http
        self._tools = bundle.tools
        self._tally = tally

    async def read(
        self, tool: str, correlation_id: str, query: Query = NO_QUERY, *, ticket_id: str = ""
    ) -> dict[str, Any]:
        """Return the answer of a read tool."""
        headers = {"X-Correlation-Id": correlation_id}
        return await self._call("GET", self._path(tool, ticket_id), headers, params=query)

    async def scheduled_queue(self, correlation_id: str) -> list[dict[str, Any]]:
        """Return every page of the cockpit's queue of SCHEDULED tickets."""
        query = {"state": "SCHEDULED", "limit": str(QUEUE_PAGE)}
        rows: list[dict[str, Any]] = []
        while True:
            page = await self.read("dispatcher.cockpit", correlation_id, query)
            rows += page["queue"]
            if page["next_cursor"] is None:
                return rows
            query["cursor"] = page["next_cursor"]

    async def command(
        self, tool: str, ticket_id: str, key: UUID, body: Mapping[str, Any], correlation_id: str
    ) -> dict[str, Any]:
        """Return the answer of a command; one that is not decided in time is an error as well."""
        headers = {"X-Correlation-Id": correlation_id, "Idempotency-Key": str(key)}
        return await self._call("POST", self._path(tool, ticket_id), headers, json=body)

    def _path(self, tool: str, ticket_id: str) -> str:
        return self._tools[tool].route.replace(TICKET_PARAMETER, ticket_id)

    async def _call(
        self,
        method: str,
        path: str,
        headers: Mapping[str, str],
        **content: Any,  # noqa: ANN401  as httpx takes it
    ) -> dict[str, Any]:
        self._tally.api_calls += 1
        try:
            answer = await self._http.request(method, path, headers=headers, **content)
            body = answer.json()
        except httpx.HTTPError as error:
            raise GatewayError(type(error).__name__, None, {}) from error
        except ValueError as error:
            raise GatewayError("UNREADABLE_ANSWER", None, {}) from error
        if answer.status_code == ACCEPTED:
            raise GatewayError("NOT_DECIDED_IN_TIME", ACCEPTED, {})
        if not answer.is_success:
            details = body.get("error", {}) if isinstance(body, dict) else {}
            raise GatewayError(details.get("code", "UNKNOWN"), answer.status_code, details)
        result: dict[str, Any] = body
        return result
