"""What is delivered and how it went, whatever carries it."""

from collections.abc import Awaitable, Callable
from typing import Any

from policy.model import Frozen


class DeliveryError(Exception):
    """The message was not accepted; the text says why, without its content or any secret."""


class Sms(Frozen):
    """A text message. The provider drops a second one with the same `message_key`."""

    to: str
    body: str
    message_key: str


class Receipt(Frozen):
    """The provider's acceptance of a message."""

    provider: str
    provider_message_id: str
    status: str
    note: str | None = None
    dry_run: bool = False

    def answer(self) -> dict[str, Any]:
        """Return what the audit keeps."""
        return self.model_dump()


SendSms = Callable[[Sms], Awaitable[Receipt]]
