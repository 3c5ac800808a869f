"""`dispatch token`: development tokens."""

from datetime import timedelta
from typing import Annotated

import typer

from cli.caller import caller
from cli.identity import signed_token, usual_type
from cli.output import DataDir, tell
from policy.model import ActorType, Role
from runtime.client import DEFAULT_DATA_DIR


def token(  # noqa: PLR0913, PLR0917  each is an option of the command
    role: Annotated[Role, typer.Option(help="Role of the caller.")],
    actor: Annotated[str, typer.Option(help="Actor id (claim sub).")] = "dev-actor",
    actor_type: Annotated[
        ActorType | None,
        typer.Option(case_sensitive=False, help="Kind of actor; else as the role suggests."),
    ] = None,
    tenant: Annotated[str, typer.Option(help="Tenant.")] = "default",
    accounts: Annotated[str, typer.Option(help="Account ids, comma list, or *.")] = "*",
    sites: Annotated[str, typer.Option(help="Site ids, comma list, or *.")] = "*",
    technician: Annotated[str, typer.Option(help="Technician id to bind the token to.")] = "",
    ttl: Annotated[int, typer.Option(min=1, help="Seconds until the token expires.")] = 3600,
    data_dir: DataDir = DEFAULT_DATA_DIR,
) -> None:
    """Print a signed development token (HS256).

    It is signed with DISPATCH_AUTH_JWT_SECRET, else with the running embedded stack's secret;
    issuer and audience are the configured ones.
    """
    claims = {
        "sub": actor,
        "role": role,
        "actor_type": actor_type or usual_type(role),
        "tenant_id": tenant,
        "scope": {"account_ids": accounts, "site_ids": sites},
        **({"technician_id": technician} if technician else {}),
    }
    tell(signed_token(caller(data_dir), claims, timedelta(seconds=ttl)))
