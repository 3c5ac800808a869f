"""`dispatch token`: development tokens."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Annotated

import jwt
import typer

from cli.output import DataDir, failed, settings, tell
from policy.model import ActorType, Role
from runtime.settings import Settings
from runtime.stack import DEFAULT_DATA_DIR


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
    tell(signed_token(settings(data_dir), claims, timedelta(seconds=ttl)))


def usual_type(role: Role) -> ActorType:
    """Return what kind of actor has a role, unless it is said."""
    match role:
        case Role.AGENT:
            return ActorType.AGENT
        case Role.SYSTEM:
            return ActorType.SYSTEM
        case _:
            return ActorType.HUMAN


def signed_token(chosen: Settings, claims: Mapping[str, object], ttl: timedelta) -> str:
    """Return the claims, completed by issuer, audience and lifetime, as an HS256 token."""
    if chosen.auth_jwt_secret is None:
        raise failed("no secret: set DISPATCH_AUTH_JWT_SECRET or start the stack (dispatch up)")
    complete = {**claims, **_standard_claims(chosen, ttl)}
    return jwt.encode(complete, chosen.auth_jwt_secret.get_secret_value(), algorithm="HS256")


def _standard_claims(chosen: Settings, ttl: timedelta) -> dict[str, object]:
    now = datetime.now(UTC)
    named = {"iss": chosen.auth_jwt_issuer, "aud": chosen.auth_jwt_audience}
    return {"iat": now, "exp": now + ttl, **{name: value for name, value in named.items() if value}}
