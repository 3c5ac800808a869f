"""Who a command acts as: a token from a file or the environment, or a role in development."""

import hmac
from base64 import urlsafe_b64encode
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Final

import orjson
import typer

from cli.caller import SECRET, Caller
from cli.output import failed, say
from runtime.environment import Mode

TokenFile = Annotated[
    Path | None,
    typer.Option("--token-file", help="File with your token; else DISPATCH_TOKEN is used."),
]
AS_ROLE: Final = typer.Option("--as", help="Act as this role; in development only.")
_TOKEN_TTL = timedelta(hours=1)
_HEADER = {"alg": "HS256", "typ": "JWT"}


def identity(
    chosen: Caller, role: str | None, token_file: Path | None, default: str | None = None
) -> dict[str, str]:
    """Return the headers that identify the caller.

    In development somebody without a token acts as `default`, and is told so. Tokens come from
    files and the environment alone: a process list shows every argument.
    """
    if token_file is not None:
        return bearer(_read(token_file))
    if role is None and chosen.token is not None:
        return bearer(chosen.token)
    if chosen.mode is Mode.PRODUCTION:
        raise failed("in production only a token counts: set DISPATCH_TOKEN or pass --token-file")
    if role is None and default is not None:
        say(f"acting as {default}; choose with --as")
    acting = role or default
    if acting is None:
        raise failed("say who you are: DISPATCH_TOKEN, --token-file, or --as in development")
    return development_identity(chosen, acting)


def development_identity(
    chosen: Caller, role: str, prefix: str = "cli", claims: Mapping[str, str] | None = None
) -> dict[str, str]:
    """Return a token of `<prefix>-<role>` where the secret is known, else dev headers."""
    actor, actor_type = f"{prefix}-{role}", usual_type(role)
    if chosen.secret is None:
        return {"X-Actor-Id": actor, "X-Actor-Role": role, "X-Actor-Type": actor_type}
    scope = {"account_ids": "*", "site_ids": "*"}
    own = {"sub": actor, "role": role, "actor_type": actor_type, "scope": scope, **(claims or {})}
    return bearer(signed_token(chosen, own, _TOKEN_TTL))


def usual_type(role: str) -> str:
    """Return what kind of actor has a role, unless it is said."""
    return role.upper() if role in {"agent", "system"} else "HUMAN"


def signed_token(chosen: Caller, claims: Mapping[str, object], ttl: timedelta) -> str:
    """Return the claims, completed by issuer, audience and lifetime, as an HS256 token.

    Source: RFC 7515. The library that verifies tokens takes longer to import than a call may last.
    """
    if chosen.secret is None:
        raise failed(f"no secret: set {SECRET} or start the stack (dispatch up)")
    now = int(datetime.now(UTC).timestamp())
    named = {"iss": chosen.issuer, "aud": chosen.audience}
    lifetime = {"iat": now, "exp": now + int(ttl.total_seconds())}
    complete = {**claims, **lifetime, **{name: text for name, text in named.items() if text}}
    signed = b".".join(_base64url(orjson.dumps(part)) for part in (_HEADER, complete))
    mac = hmac.digest(chosen.secret.encode(), signed, "sha256")
    return b".".join((signed, _base64url(mac))).decode()


def bearer(token: str) -> dict[str, str]:
    """Return the header of a token."""
    return {"Authorization": f"Bearer {token.strip()}"}


def _base64url(raw: bytes) -> bytes:
    return urlsafe_b64encode(raw).rstrip(b"=")


def _read(path: Path) -> str:
    try:
        return path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as failure:
        raise failed(f"the token file cannot be read: {failure}") from None
