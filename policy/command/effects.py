"""What a decision is: a denial, or effects to be written in one transaction."""

from collections.abc import Mapping
from typing import Any

from pydantic import Field

from policy.codes import CODES, Code
from policy.command.writes import Write
from policy.envelope import error_body, policy_error
from policy.model import Frozen


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
    """What an allowed command changes; each kind of subject adds its own row to it.

    `audit` are the tool's own keys of the audit payload, `body` the answer (None answers the
    subject's own shape). `counted` is what the gateway's metrics know the command by.
    `request_recorded` tells whether the audit payload holds the request.
    """

    audit: Mapping[str, Any]
    writes: tuple[Write, ...] = ()
    body: Mapping[str, Any] | None = None
    counted: Mapping[str, Any] = Field(default_factory=dict)
    request_recorded: bool = True


Decision = Effects | Denial
