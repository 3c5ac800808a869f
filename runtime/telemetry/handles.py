"""What a process hands to its clients while it traces; nothing while it does not."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from temporalio.client import Interceptor

from runtime.postgres.pool import QueryObserver

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider


def _nothing() -> None:
    """Close what was never opened."""


@dataclass(frozen=True)
class Tracing:
    """What a process hands to FastAPI, to Temporal and to its pool; nothing while it is off."""

    provider: "TracerProvider | None" = None
    interceptors: Sequence[Interceptor] = ()
    on_query: QueryObserver | None = None
    close: Callable[[], None] = _nothing
