"""The settings of every process, read from the environment once (contract 18)."""

from collections.abc import Mapping
from typing import Self

from pydantic import ValidationError, model_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource

from runtime.environment import (
    Algorithm,
    ConfigurationError,
    Mode,
    RetentionMode,
    mode_of,
    read_mode,
)
from runtime.variables import OTHER_NAMES, Variables

SAFE_SECRET_BYTES = 32
JWKS_ALGORITHMS = (Algorithm.RS256, Algorithm.ES256, Algorithm.EDDSA)


class Settings(Variables):
    """Everything an installation decides, and what follows from it.

    Built by `load_settings`, which alone reads the environment.
    """

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Take values from the constructor alone, so that one bad variable can be left out."""
        del settings_cls, env_settings, dotenv_settings, file_secret_settings
        return (init_settings,)

    @model_validator(mode="before")
    @classmethod
    def _derive_defaults(cls, values: dict[str, object]) -> dict[str, object]:
        """Fill in the defaults that depend on other settings."""
        production = read_mode(values.get("mode")) is Mode.PRODUCTION
        symmetric = (Algorithm.HS256,) if values.get("auth_jwt_secret") else ()
        has_jwks = values.get("auth_jwks_url") or values.get("auth_jwks_file")
        return {
            "auth_jwt_algorithms": symmetric + (JWKS_ALGORITHMS if has_jwks else ()),
            "evidence_require_checksum": production,
            "evidence_require_head": production,
            "evidence_retention_mode": RetentionMode.GOVERNANCE if production else "NONE",
            "s3_public_endpoint_url": values.get("s3_endpoint_url"),
            "worker_actor_id": f"{values.get('worker_identity', 'dispatch-worker')}-system",
        } | values

    @model_validator(mode="after")
    def _keys_travel_safely(self) -> Self:
        url = self.auth_jwks_url
        if self.mode is Mode.PRODUCTION and url and not url.startswith("https://"):
            raise ValueError("DISPATCH_AUTH_JWKS_URL must be https in production")
        return self

    @model_validator(mode="after")
    def _deployment_is_complete(self) -> Self:
        if (self.worker_deployment_name is None) != (self.worker_build_id is None):
            raise ValueError(
                "DISPATCH_WORKER_DEPLOYMENT_NAME and DISPATCH_WORKER_BUILD_ID belong together"
            )
        return self

    @property
    def dev_headers_enabled(self) -> bool:
        """Whether X-Actor-* headers are believed (contract 4.1)."""
        match self.mode:
            case Mode.PRODUCTION:
                return False
            case Mode.NEUTRAL:
                return self.auth_allow_dev_headers is True
            case _:
                return self.auth_allow_dev_headers is not False

    @property
    def verifies_tokens(self) -> bool:
        """Whether a secret or a JWKS is configured."""
        return bool(self.auth_jwt_secret or self.auth_jwks_url or self.auth_jwks_file)


def load_settings(environ: Mapping[str, str]) -> tuple[Settings, list[str]]:
    """Return the settings and the start-up warnings; a blank variable counts as absent.

    A value that cannot be read falls back to its default with a warning; among DISPATCH_AUTH_*
    it raises `ConfigurationError`. No warning and no error repeats a value.
    """
    mode_of(environ)
    values: dict[str, str] = {}
    for field in Settings.model_fields:
        name = _variable(environ, field)
        if name is not None:
            values[field] = environ[name]
    settings, unreadable = _read(values, environ)
    warnings = [
        f"{reason}; using the default, {getattr(settings, field)}"
        for field, reason in unreadable.items()
    ]
    return settings, warnings + _advice(settings)


def require_verifier(settings: Settings) -> None:
    """Raise `ConfigurationError` if production has nothing to verify tokens with."""
    if settings.mode is Mode.PRODUCTION and not settings.verifies_tokens:
        raise ConfigurationError(
            "production needs DISPATCH_AUTH_JWT_SECRET, DISPATCH_AUTH_JWKS_URL"
            " or DISPATCH_AUTH_JWKS_FILE"
        )


def _variable(environ: Mapping[str, str], field: str) -> str | None:
    names = OTHER_NAMES.get(field, (f"DISPATCH_{field.upper()}",))
    return next((name for name in names if environ.get(name, "").strip()), None)


def _read(values: Mapping[str, str], environ: Mapping[str, str]) -> tuple[Settings, dict[str, str]]:
    """Return the settings and, per field that had to be left out, the reason."""
    try:
        return Settings.model_validate(values), {}
    except ValidationError as error:
        unreadable = _unreadable(error, environ)
    readable = {field: text for field, text in values.items() if field not in unreadable}
    settings, further = _read(readable, environ)  # what contradicts the rest shows only now
    return settings, unreadable | further


def _unreadable(error: ValidationError, environ: Mapping[str, str]) -> dict[str, str]:
    """Return the reason per field that cannot be read, or raise for those that must stop us."""
    reasons = {}
    for problem in error.errors(include_url=False, include_input=False, include_context=False):
        field = str(problem["loc"][0]) if problem["loc"] else ""
        message = problem["msg"].removeprefix("Value error, ")
        if not field:
            raise ConfigurationError(message) from None
        name = _variable(environ, field)
        if name is None:  # derived from another variable that cannot be read
            continue
        reason = f"{name} cannot be read: {message}"
        if field.startswith("auth_"):
            raise ConfigurationError(reason) from None
        reasons[field] = reason
    return reasons


def _advice(settings: Settings) -> list[str]:
    warnings = []
    for name in ("auth_jwt_secret", "command_key"):
        secret = getattr(settings, name)
        if secret and len(secret.get_secret_value().encode()) < SAFE_SECRET_BYTES:
            warnings.append(f"DISPATCH_{name.upper()} is shorter than {SAFE_SECRET_BYTES} bytes")
    if settings.auth_jwks_url and settings.auth_jwks_file:
        warnings.append("DISPATCH_AUTH_JWKS_FILE is ignored: DISPATCH_AUTH_JWKS_URL is set")
    if settings.mode is Mode.PRODUCTION and settings.auth_allow_dev_headers:
        warnings.append("DISPATCH_AUTH_ALLOW_DEV_HEADERS is ignored in production")
    return warnings
