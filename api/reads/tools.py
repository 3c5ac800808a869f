"""The read tools: one way to read, whether asked by the tool's route or by name."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from api.reads.query import Query
from api.wire.errors import ApiError
from policy.codes import Code
from policy.model import Actor
from runtime.postgres.pool import DATABASE_FAULTS


@dataclass(frozen=True)
class ReadRequest:
    """What an admitted caller wants to read."""

    tool: str
    actor: Actor
    ticket_id: UUID | None
    query: Query

    @property
    def subject(self) -> UUID:
        """The ticket that the route names."""
        if self.ticket_id is None:
            raise LookupError(f"{self.tool} was asked without a ticket")
        return self.ticket_id


ReadTool = Callable[[ReadRequest], Awaitable[dict[str, Any]]]


class ReadTools:
    """The read tools by name."""

    def __init__(self, tools: Mapping[str, ReadTool]) -> None:
        self._tools = tools

    async def read(self, request: ReadRequest) -> dict[str, Any]:
        """Return the answer, or raise what the caller gets instead."""
        try:
            return await self._tools[request.tool](request)
        except DATABASE_FAULTS as error:
            raise ApiError(Code.DATABASE_UNAVAILABLE) from error
