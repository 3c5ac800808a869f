"""What a decision is: a denial, or effects to be written in one transaction."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

from pydantic import Field

from policy.codes import CODES, Code
from policy.command.writes import Write
from policy.envelope import error_body, policy_error
from policy.model import Frozen, State, Ticket


class Denial(Frozen):
    """The command is not allowed; `details` are the extra fields of contract 8.2."""

    code: Code
    details: Mapping[str, Any] = Field(default_factory=dict)
    message: str | None = None

    @property
    def status(self) -> int:
        """The HTTP status of the code."""
        return CODES[self.code].status

    @property
    def dimension(self) -> str | None:
        """The `policy_error.dimension` of the code."""
        return CODES[self.code].dimension

    def body(self, request_id: str | None, correlation_id: str) -> dict[str, object]:
        """Return the envelope that the caller gets."""
        policy = policy_error(self.code, self.details)
        return error_body(
            self.code,
            message=self.message,
            request_id=request_id,
            details=self.details,
            correlation_id=correlation_id,
            policy_error=policy,
        )


class Effects(Frozen):
    """What an allowed command changes.

    `ticket` is the row after the command (None for tools without a ticket), `pairs` the legal
    transitions it makes, `audit` the tool's own keys of the audit payload, `body` the answer
    (None answers the ticket), `before` the state before. `audit_ticket_id` names the ticket whose
    chain gets the audit row of a tool without a ticket (None: the tenant's own chain).
    `request_recorded` tells whether the audit payload holds the request. `look_at` is an instant at
    which the ticket must be looked at whatever its deadlines are.
    """

    ticket: Ticket | None
    before: State | None
    pairs: tuple[tuple[State | None, State], ...] = ()
    audit: Mapping[str, Any]
    writes: tuple[Write, ...] = ()
    body: Mapping[str, Any] | None = None
    audit_ticket_id: UUID | None = None
    request_recorded: bool = True
    look_at: datetime | None = None


Decision = Effects | Denial
