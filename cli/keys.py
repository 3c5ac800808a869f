"""`dispatch keygen`: keys that encrypt what Temporal stores."""

import secrets
from datetime import UTC, datetime
from typing import Annotated

import typer

from cli.output import failed
from runtime.codec import new_key


def keygen(
    key_id: Annotated[
        str, typer.Option("--id", help="Id of the key; if blank, today's date and a random part.")
    ] = "",
) -> None:
    """Make a key for DISPATCH_PAYLOAD_KEYS: AES-256, printed as `id:key`.

    The first key of that comma list encrypts, every one decrypts. To rotate, append the new key
    for gateway and worker, then move it to the front. Keep an old key until the last workflow that
    was written under it has passed its retention.
    """
    name = key_id or f"{datetime.now(UTC):%Y-%m-%d}-{secrets.token_hex(2)}"
    try:
        typer.echo(new_key(name))
    except ValueError as fault:
        raise failed(str(fault)) from None
