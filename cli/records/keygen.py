"""`dispatch keygen`: keys that encrypt what Temporal stores, and keys that sign records."""

import secrets
from datetime import UTC, datetime
from typing import Annotated

import typer

from cli.output import failed, tell
from runtime.key_ring import new_key


def keygen(
    key_id: Annotated[
        str, typer.Option("--id", help="Id of the key; if blank, today's date and a random part.")
    ] = "",
) -> None:
    """Make a key for DISPATCH_PAYLOAD_KEYS (AES-256) or DISPATCH_SIGNING_KEYS (Ed25519).

    It is printed as `id:key`; never use the same key for both. The first key of the comma list
    encrypts or signs, every one decrypts or verifies. To rotate, append the new key for gateway
    and worker, then move it to the front. Keep an old payload key until the last workflow that was
    written under it has passed its retention.
    """
    name = key_id or f"{datetime.now(UTC):%Y-%m-%d}-{secrets.token_hex(2)}"
    try:
        tell(new_key(name))
    except ValueError as fault:
        raise failed(str(fault)) from None
