"""What the gateway raises to answer with an error; one handler renders them all."""

from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import ClassVar

from policy.codes import CODES, Code
from policy.envelope import error_body, policy_error
from policy.model import Role

_NOTHING: Mapping[str, object] = MappingProxyType({})
UNAVAILABLE_RETRY_SECONDS = 5
_UNAVAILABLE, _UNAUTHORISED = 503, 401


def headers_of(status: int) -> dict[str, str]:
    """Return the response headers that every answer of this status has (contract 2.3)."""
    if status == _UNAUTHORISED:
        return {"WWW-Authenticate": "Bearer"}
    if status == _UNAVAILABLE:
        return {"Retry-After": str(UNAVAILABLE_RETRY_SECONDS)}
    return {}


class ApiError(Exception):
    """The caller gets `code` in the envelope, with `details` as its extra fields.

    `dimension` overrides the code's own `policy_error.dimension`.
    """

    def __init__(
        self,
        code: Code,
        *,
        message: str | None = None,
        details: Mapping[str, object] = _NOTHING,
        dimension: str | None = None,
    ) -> None:
        super().__init__(code, message)
        self.code = code
        self.message = message or CODES[code].message
        self.details = details
        self.dimension = dimension or CODES[code].dimension

    @property
    def status(self) -> int:
        """The HTTP status of the code."""
        return CODES[self.code].status

    @property
    def headers(self) -> dict[str, str]:
        """The response headers the error demands."""
        if self.code is Code.RATE_LIMITED:
            return {"Retry-After": str(self.details["retry_after_seconds"])}
        return headers_of(self.status)

    def body(self, *, request_id: str | None, correlation_id: str | None) -> dict[str, object]:
        """Return the envelope of contract 8.1."""
        return error_body(
            self.code,
            message=self.message,
            request_id=request_id,
            details=self.details,
            correlation_id=correlation_id,
            policy_error=policy_error(self.code, self.details, self.dimension),
        )


def busy(limit: str) -> ApiError:
    """Return the 429 of a queue that is full: what is drawn is drawn a few at a time."""
    details = {"limit": limit, "retry_after_seconds": UNAVAILABLE_RETRY_SECONDS}
    return ApiError(Code.RATE_LIMITED, details=details)


class _FixedCodeError(ApiError):
    """An error whose code is its class."""

    fixed: ClassVar[Code]

    def __init__(self, message: str | None = None, **details: object) -> None:
        super().__init__(self.fixed, message=message, details=details)


class InvalidJsonError(_FixedCodeError):
    """The body is not I-JSON in UTF-8."""

    fixed = Code.INVALID_JSON


class PayloadTooLargeError(_FixedCodeError):
    """The body is longer than `limit_bytes`."""

    fixed = Code.PAYLOAD_TOO_LARGE


class AuthRequiredError(_FixedCodeError):
    """No credentials came, and dev headers are off."""

    fixed = Code.AUTH_REQUIRED


class InvalidTokenError(_FixedCodeError):
    """The token cannot be read or its signature is not good."""

    fixed = Code.INVALID_AUTH_TOKEN


class InvalidClaimsError(_FixedCodeError):
    """A claim is missing or not acceptable."""

    fixed = Code.INVALID_AUTH_CLAIMS


class UnknownRoleError(ApiError):
    """The role is none of the product's."""

    def __init__(self, known: Iterable[str] = tuple(Role)) -> None:
        message = f"The role is not known here. These are: {', '.join(known)}."
        super().__init__(Code.INVALID_AUTH_CLAIMS, message=message, dimension="role")


class AuthConfigError(_FixedCodeError):
    """A token came, but there is nothing to verify it with."""

    fixed = Code.AUTH_CONFIG_ERROR


class MissingActorError(_FixedCodeError):
    """A dev header is absent."""

    fixed = Code.MISSING_ACTOR_CONTEXT


class InvalidActorError(_FixedCodeError):
    """A dev header cannot be read."""

    fixed = Code.INVALID_ACTOR_CONTEXT


class MissingIdempotencyKeyError(_FixedCodeError):
    """No idempotency key came with a command."""

    fixed = Code.MISSING_IDEMPOTENCY_KEY


class InvalidIdempotencyKeyError(_FixedCodeError):
    """The idempotency key is no uuid."""

    fixed = Code.INVALID_IDEMPOTENCY_KEY
