"""Who a command acts as: a token from a file or the environment, or a role in development."""

from datetime import timedelta
from pathlib import Path
from typing import Annotated

import typer

from cli.output import failed, say
from cli.tokens import signed_token, usual_type
from policy.model import Role
from runtime.environment import Mode
from runtime.settings import Settings

TokenFile = Annotated[
    Path | None,
    typer.Option("--token-file", help="File with your token; else DISPATCH_TOKEN is used."),
]
AsRole = Annotated[Role | None, typer.Option("--as", help="Act as this role; in development only.")]
_TOKEN_TTL = timedelta(hours=1)


def identity(
    chosen: Settings, role: Role | None, token_file: Path | None, default: Role | None = None
) -> dict[str, str]:
    """Return the headers that identify the caller.

    In development somebody without a token acts as `default`, and is told so. Tokens come from
    files and the environment alone: a process list shows every argument.
    """
    if token_file is not None:
        return bearer(_read(token_file))
    if role is None and chosen.token is not None:
        return bearer(chosen.token.get_secret_value())
    if chosen.mode is Mode.PRODUCTION:
        raise failed("in production only a token counts: set DISPATCH_TOKEN or pass --token-file")
    if role is None and default is not None:
        say(f"acting as {default}; choose with --as")
    acting = role or default
    if acting is None:
        raise failed("say who you are: DISPATCH_TOKEN, --token-file, or --as in development")
    return development_identity(chosen, acting)


def development_identity(chosen: Settings, role: Role) -> dict[str, str]:
    """Return a token where the secret is known, else dev headers."""
    actor, actor_type = f"cli-{role}", usual_type(role)
    if chosen.auth_jwt_secret is None:
        return {"X-Actor-Id": actor, "X-Actor-Role": role, "X-Actor-Type": actor_type}
    scope = {"account_ids": "*", "site_ids": "*"}
    claims = {"sub": actor, "role": role, "actor_type": actor_type, "scope": scope}
    return bearer(signed_token(chosen, claims, _TOKEN_TTL))


def bearer(token: str) -> dict[str, str]:
    """Return the header of a token."""
    return {"Authorization": f"Bearer {token.strip()}"}


def _read(path: Path) -> str:
    try:
        return path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as failure:
        raise failed(f"the token file cannot be read: {failure}") from None
