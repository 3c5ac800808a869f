"""Recognising what a worker without the payload keys cannot read."""

from collections.abc import Sequence

from temporalio.common import RawValue

from contracts.sealing import SEALED_ENCODING


def is_sealed(args: Sequence[RawValue]) -> bool:
    """Whether the first argument is still encrypted."""
    return bool(args) and args[0].payload.metadata.get("encoding") == SEALED_ENCODING
