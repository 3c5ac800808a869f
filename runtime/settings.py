"""The settings of every process, read from the environment once (contract 18)."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Self
from uuid import UUID

from pydantic import Field, SecretStr, ValidationError, model_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from policy.model import ActorType
from runtime.environment import (
    Algorithm,
    Algorithms,
    AnyCase,
    ConfigurationError,
    Flag,
    HostPort,
    HttpUrl,
    ImportPath,
    Mode,
    ModeName,
    Natural,
    Percent,
    Port,
    Positive,
    PostgresUrl,
    Recipients,
    RetentionMode,
    Secret,
    Words,
    read_mode,
)

SAFE_SECRET_BYTES = 32
JWKS_ALGORITHMS = (Algorithm.RS256, Algorithm.ES256, Algorithm.EDDSA)
EVIDENCE_CONTENT_TYPES = (
    *("image/jpeg", "image/png", "image/webp", "image/heic", "application/pdf"),
    *("application/json", "text/plain", "audio/mpeg", "audio/mp4", "video/mp4"),
)
_OTHER_NAMES = {
    "otlp_endpoint": ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT"),
    "mode": ("DISPATCH_ENV", "NODE_ENV"),
    "evidence_require_checksum": (
        "REQUIRE_EVIDENCE_CHECKSUM",
        "DISPATCH_EVIDENCE_REQUIRE_CHECKSUM",
    ),
}


class Settings(BaseSettings):
    """Everything an installation decides. A field is the variable `DISPATCH_<FIELD>`.

    Built by `load_settings`, which alone reads the environment. Units are in the names.
    """

    model_config = SettingsConfigDict(
        env_prefix="DISPATCH_", frozen=True, extra="forbid", hide_input_in_errors=True
    )

    mode: ModeName = Mode.NEUTRAL
    api_host: str = "127.0.0.1"
    api_port: Port = 8080
    api_url: HttpUrl = "http://127.0.0.1:8080"
    token: Secret | None = None
    """Identifies the commands of `dispatch` and its MCP server."""
    rate_limits: Flag = True
    rate_limit_actor_per_minute: Natural = 30_000
    rate_limit_tool_per_minute: Natural = 15_000
    rate_limit_ticket_per_minute: Natural = 3000
    """What one actor may do in all, with one tool, on one ticket; 0 is no limit."""
    rate_limit_burst_seconds: Positive = 30
    command_wait_seconds: float = Field(default=10, ge=0, le=60)
    command_key: Secret | None = None
    """Signs commands on their way to the worker; none: the installation's own key."""

    database_url: PostgresUrl = SecretStr("postgres://dispatch:dispatch@postgres:5432/dispatch")
    db_pool_max: Positive = 10
    temporal_address: HostPort = "127.0.0.1:7233"
    temporal_namespace: str = "default"
    temporal_task_queue: str = "dispatch-tickets"
    temporal_ui_origin: HttpUrl | None = None
    """Where the Temporal UI is served; the codec endpoint answers its pages."""
    payload_keys: SecretStr | None = None
    """Encrypt what Temporal stores: `id:key,id:key`, the first one seals, every one opens."""

    signing_keys: SecretStr | None = None
    """Sign checkpoints and dossiers: `id:key,id:key`, the first one signs; none: neither exists."""

    s3_endpoint_url: HttpUrl | None = None
    s3_public_endpoint_url: HttpUrl | None = None
    s3_region: str = "us-east-1"
    s3_bucket: str | None = None
    s3_access_key_id: str | None = None
    s3_secret_access_key: Secret | None = None

    auth_allow_dev_headers: Flag | None = None
    auth_jwt_secret: Secret | None = None
    auth_jwks_url: HttpUrl | None = None
    auth_jwks_file: Path | None = None
    auth_jwt_issuer: str | None = None
    auth_jwt_audience: str | None = None
    auth_jwt_algorithms: Algorithms = ()
    auth_jwt_leeway_seconds: float = Field(default=0, ge=0, allow_inf_nan=False)

    intake_identity_confidence_threshold: Percent = 85
    intake_classification_confidence_threshold: Percent = 85
    intake_duplicate_window_minutes: Natural = 120
    intake_sop_handoff_prompt: str | None = Field(default=None, pattern=r"\bSOP\b")

    object_store_schemes: Words = ("s3", "minio")
    evidence_require_head: Flag = False
    evidence_require_checksum: Flag = False
    evidence_head_timeout_ms: Positive = 2500
    evidence_http_hosts: Words = ()
    evidence_max_bytes: Positive = 104_857_600
    evidence_link_ttl_seconds: Positive = Field(default=300, le=604_800)
    evidence_upload_deadline_hours: Positive = 24
    """An upload that is not finalized by then is abandoned, and its bytes are removed."""
    evidence_audit_interval_hours: Positive = 24
    evidence_audit_bytes_per_minute: Natural = 268_435_456
    """How much stored evidence is read and hashed again; 0 switches it off."""
    evidence_presign_ttl_seconds: Positive = Field(default=900, le=604_800)
    evidence_content_types: Words = EVIDENCE_CONTENT_TYPES
    evidence_retention_mode: Annotated[RetentionMode, AnyCase] = RetentionMode.NONE
    evidence_retention_days: Positive = 2555

    price_list: Path | None = None
    """What a draft invoice charges where the caller supplies no lines; none: an example."""

    hold_expiry_grace_seconds: Natural = 900
    escalation_recipients: Recipients = ()
    """Who is told of escalations: `role:channel:address,...`; a role may have several."""
    deadline_sweep: Flag = True
    deadline_sweep_seconds: Positive = 60
    """Whether, and how often, overdue deadlines are looked for without the tickets' timers."""
    log_sink_path: Path | None = None
    traces_sink_path: Path | None = None
    otlp_endpoint: HttpUrl | None = None
    metrics_sink_path: Path | None = None
    alerts_sink_path: Path | None = None
    ops_public: Flag = False
    alert_window_minutes: Natural = 0
    alert_stuck_scheduling_minutes: Natural = 60
    alert_stuck_scheduling_count_threshold: Positive = 5
    alert_completion_rejection_threshold: Positive = 3
    alert_idempotency_conflict_threshold: Positive = 2
    alert_auth_policy_rejection_threshold: Positive = 5

    sms_enabled: Flag = False
    sms_dry_run: Flag = True
    sms_adapter: ImportPath | None = None
    sms_provider_url: HttpUrl | None = None
    sms_provider_token: Secret | None = None
    sms_webhook_secret: Secret | None = None
    """Checks what the SMS provider sends us; none: those routes do not exist."""
    sms_webhook_tenant: str = "default"
    outbox_max_attempts: Positive = 6
    outbox_batch_limit: Positive = 20
    outbox_retry_base_ms: Natural = 5000
    outbox_retry_max_ms: Natural = 300_000
    outbox_poll_ms: Positive = 2000
    outbox_iterations: Positive = 1
    outbox_timeout_ms: Positive = 10_000

    worker_enabled: Flag = False
    worker_identity: str = "dispatch-worker"
    worker_token: Secret | None = None
    worker_actor_id: str = ""
    worker_actor_role: str = "dispatcher"
    worker_actor_type: Annotated[ActorType, AnyCase] = ActorType.SERVICE
    worker_loop_ms: Positive = 20_000
    worker_heartbeat_ms: Positive = 20_000
    worker_request_timeout_ms: Positive = 5000
    worker_batch_limit: Positive = 20
    worker_shutdown_timeout_ms: Positive = 15_000
    worker_deployment_name: str | None = None
    worker_build_id: str | None = None
    """Both: this worker takes part in a Temporal Worker Deployment, as this version of it."""

    bootstrap_skip_api_ready_check: Flag = False
    bootstrap_api_health_retries: Positive = 20
    bootstrap_api_health_delay_ms: Natural = 500
    bootstrap_evidence_path: Path | None = None
    demo_account_id: UUID = UUID("d3f77db0-5d1a-4f9c-b0ea-111111111111")
    demo_site_id: UUID = UUID("7f6a2b2c-8f1e-4f2b-b3a1-222222222222")
    demo_tech_id: UUID = UUID("00000000-0000-0000-0000-000000000083")

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
    names = _OTHER_NAMES.get(field, (f"DISPATCH_{field.upper()}",))
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
