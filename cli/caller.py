"""Who calls which gateway, by the environment: read without what only a server needs.

It reads the variables as `runtime/settings.py` does, which takes longer to import than a call.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from cli.output import PREFIX, failed, say
from runtime.client import DEFAULT_DATA_DIR, read_client
from runtime.environment import (
    DEFAULT_API_URL,
    ConfigurationError,
    Mode,
    http_url,
    mode_of,
    variable_text,
)

SECRET: Final = "DISPATCH_AUTH_JWT_SECRET"  # noqa: S105  the variable's name


@dataclass(frozen=True)
class Caller:
    """The gateway's address and mode, and what there is to identify oneself with."""

    mode: Mode = Mode.NEUTRAL
    api_url: str = DEFAULT_API_URL
    token: str | None = None
    secret: str | None = None
    issuer: str | None = None
    audience: str | None = None


def caller(data_dir: Path = DEFAULT_DATA_DIR) -> Caller:
    """Return the caller of `environment`; what cannot be read is said or ends the command."""
    try:
        found, warnings = read_caller(environment(data_dir))
    except ConfigurationError as failure:
        raise failed(str(failure)) from None
    for warning in warnings:
        say(f"{PREFIX} warning: {warning}")
    return found


def read_caller(environ: Mapping[str, str]) -> tuple[Caller, list[str]]:
    """Return the caller and the warnings; raise `ConfigurationError` as the settings do."""
    mode, warnings = mode_of(environ), []
    url = variable_text(environ, "DISPATCH_API_URL") or DEFAULT_API_URL
    try:
        http_url(url)
    except ValueError as fault:
        warnings.append(f"DISPATCH_API_URL cannot be read: {fault}; using {DEFAULT_API_URL}")
        url = DEFAULT_API_URL
    token, secret = variable_text(environ, "DISPATCH_TOKEN"), variable_text(environ, SECRET)
    if token is not None and not _is_encodable(token):
        warnings.append("DISPATCH_TOKEN cannot be read: must be UTF-8; going without")
        token = None
    if secret is not None and not _is_encodable(secret):
        raise ConfigurationError(f"{SECRET} cannot be read: must be UTF-8")
    issuer = variable_text(environ, "DISPATCH_AUTH_JWT_ISSUER")
    audience = variable_text(environ, "DISPATCH_AUTH_JWT_AUDIENCE")
    return Caller(mode, url, token, secret, issuer, audience), warnings


def _is_encodable(text: str) -> bool:
    try:
        return bool(text.encode())
    except UnicodeEncodeError:
        return False


def environment(data_dir: Path = DEFAULT_DATA_DIR) -> Mapping[str, str]:
    """Return the environment, completed by the stack that runs in the data folder, if one does."""
    client = read_client(data_dir)
    return {**(client.env if client else {}), **os.environ}


def owner_database_url(data_dir: Path = DEFAULT_DATA_DIR) -> str | None:
    """Return the migrations' login: the environment's, else the running stack's."""
    client = read_client(data_dir)
    running = client.owner_database_url if client else None
    return os.environ.get("DISPATCH_DATABASE_URL") or running
