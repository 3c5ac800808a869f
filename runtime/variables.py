"""The variables of the environment: what an installation decides (contract 18)."""

from pathlib import Path
from typing import Annotated
from uuid import UUID

from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict

from policy.model import ActorType
from runtime.environment import DEFAULT_API_URL, MODE_NAMES, Mode, RetentionMode
from runtime.value_types import (
    Algorithms,
    AnyCase,
    Flag,
    HostPort,
    HttpUrl,
    ImportPath,
    ModeName,
    Natural,
    Percent,
    Port,
    Positive,
    PostgresUrl,
    Recipients,
    Secret,
    Words,
)

EVIDENCE_CONTENT_TYPES = (
    *("image/jpeg", "image/png", "image/webp", "image/heic", "application/pdf"),
    *("application/json", "text/plain", "audio/mpeg", "audio/mp4", "video/mp4"),
)
OTHER_NAMES = {
    "otlp_endpoint": ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT"),
    "mode": MODE_NAMES,
    "evidence_require_checksum": (
        "REQUIRE_EVIDENCE_CHECKSUM",
        "DISPATCH_EVIDENCE_REQUIRE_CHECKSUM",
    ),
}


class Variables(BaseSettings):
    """A field is the variable `DISPATCH_<FIELD>`, or those of `OTHER_NAMES`. Names carry units."""

    model_config = SettingsConfigDict(
        env_prefix="DISPATCH_", frozen=True, extra="forbid", hide_input_in_errors=True
    )

    mode: ModeName = Mode.NEUTRAL
    api_host: str = "127.0.0.1"
    api_port: Port = 8080
    api_url: HttpUrl = DEFAULT_API_URL
    api_trusted_hosts: Words = ()
    """Under which names, besides loopback and its own, a development gateway answers."""
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
    """Sign checkpoints: `id:key,id:key`, the first one signs; none: there are none."""
    dossier_keys: SecretStr | None = None
    """Sign dossiers, likewise; none: the keys that sign checkpoints do."""

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
    auth_automation_claim: str | None = None
    """The claim that is true in the token of a client that acts without a person."""

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
    ops_tenant: str | None = None
    """The tenant whose operators see the metrics and alerts of every tenant."""
    alert_window_minutes: Natural = 60
    """How far back alerts count; 0 counts since the start, so that they clear by a restart only."""
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
    webhook_hosts: Words = ()
    """Subscribers that production may reach though their addresses are not public."""
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
