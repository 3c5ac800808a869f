"""What the environment says, what is left out, and what must stop the start (contract 4.1, 18)."""

from pathlib import Path
from uuid import UUID

import pytest
from pydantic import SecretStr, ValidationError

from runtime.environment import Algorithm, ConfigurationError, Mode, RetentionMode
from runtime.settings import Settings, load_settings, require_verifier

SECRET = "a secret of well over thirty-two bytes for tests"


def load(**environ: str) -> Settings:
    settings, warnings = load_settings(environ)
    assert warnings == []
    return settings


def test_an_empty_environment_gives_the_contracts_defaults() -> None:
    settings = load()
    url = settings.database_url.get_secret_value()
    assert url == "postgres://dispatch:dispatch@postgres:5432/dispatch"
    assert (settings.api_host, settings.api_port) == ("127.0.0.1", 8080)
    assert settings.temporal_address == "127.0.0.1:7233"
    assert settings.temporal_task_queue == "dispatch-tickets"
    assert settings.object_store_schemes == ("s3", "minio")
    assert settings.worker_actor_id == "dispatch-worker-system"
    assert settings.evidence_max_bytes == 100 * 2**20
    assert settings.demo_tech_id == UUID("00000000-0000-0000-0000-000000000083")
    assert settings.intake_sop_handoff_prompt is None  # the bundle has one


@pytest.mark.parametrize(
    ("environ", "mode"),
    [
        ({}, Mode.NEUTRAL),
        ({"NODE_ENV": "staging"}, Mode.NEUTRAL),
        ({"DISPATCH_ENV": " Production "}, Mode.PRODUCTION),
        ({"NODE_ENV": "test"}, Mode.TEST),
        ({"DISPATCH_ENV": "", "NODE_ENV": "local"}, Mode.LOCAL),
        ({"DISPATCH_ENV": "development", "NODE_ENV": "production"}, Mode.DEVELOPMENT),
    ],
)
def test_dispatch_env_then_node_env_names_the_mode(environ: dict[str, str], mode: Mode) -> None:
    assert load(**environ).mode is mode


@pytest.mark.parametrize(
    "word", ["prodution", "prod", "PRODUCTION!", "staging", "neutral", "devlopment", "0"]
)
@pytest.mark.parametrize("other", [{}, {"NODE_ENV": "production"}])
def test_a_misspelt_mode_stops_the_start(word: str, other: dict[str, str]) -> None:
    with pytest.raises(ConfigurationError, match="DISPATCH_ENV") as caught:
        load_settings({**other, "DISPATCH_ENV": word})
    assert word not in str(caught.value) or word in {"prod", "0"}


@pytest.mark.parametrize("word", ["1", "true", "YES", "On", " enabled "])
@pytest.mark.parametrize("other", ["0", "FALSE", "no", "oFF", "disabled"])
def test_booleans_have_five_spellings_each_way(word: str, other: str) -> None:
    settings = load(DISPATCH_OPS_PUBLIC=word, DISPATCH_SMS_DRY_RUN=other)
    assert (settings.ops_public, settings.sms_dry_run) == (True, False)


def test_values_are_read_under_their_names() -> None:
    settings = load(
        DISPATCH_API_PORT="0",
        DISPATCH_COMMAND_WAIT_SECONDS="0.5",
        DISPATCH_COMMAND_KEY=SECRET,
        DISPATCH_S3_ENDPOINT_URL="http://127.0.0.1:9000",
        DISPATCH_OBJECT_STORE_SCHEMES="S3, https",
        DISPATCH_EVIDENCE_HTTP_HOSTS="Files.Example.com",
        DISPATCH_EVIDENCE_RETENTION_MODE="compliance",
        DISPATCH_LOG_SINK_PATH="/var/log/dispatch.ndjson",
        DISPATCH_WORKER_IDENTITY="night",
        DISPATCH_WORKER_ACTOR_TYPE="human",
        DISPATCH_SMS_ADAPTER="our.sms:send",
    )
    assert (settings.api_port, settings.command_wait_seconds) == (0, 0.5)
    assert settings.command_key == SecretStr(SECRET)
    assert settings.s3_public_endpoint_url == "http://127.0.0.1:9000"
    assert settings.object_store_schemes == ("s3", "https")
    assert settings.evidence_http_hosts == ("files.example.com",)
    assert settings.evidence_retention_mode is RetentionMode.COMPLIANCE
    assert settings.log_sink_path == Path("/var/log/dispatch.ndjson")
    assert settings.worker_actor_id == "night-system"


def test_production_demands_more_of_evidence() -> None:
    strict = load(DISPATCH_ENV="production")
    assert strict.evidence_require_head
    assert strict.evidence_require_checksum
    assert strict.evidence_retention_mode is RetentionMode.GOVERNANCE
    relaxed = load(DISPATCH_ENV="production", DISPATCH_EVIDENCE_RETENTION_MODE="none")
    assert relaxed.evidence_retention_mode is RetentionMode.NONE


def test_the_older_name_of_the_checksum_switch_goes_first() -> None:
    older, newer = "REQUIRE_EVIDENCE_CHECKSUM", "DISPATCH_EVIDENCE_REQUIRE_CHECKSUM"
    assert load(**{older: "on", newer: "off"}).evidence_require_checksum
    assert load(**{newer: "on"}).evidence_require_checksum


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("API_PORT", "http"),
        ("API_PORT", "65536"),
        ("API_URL", "ftp://x"),
        ("COMMAND_WAIT_SECONDS", "61"),
        ("COMMAND_WAIT_SECONDS", "-1"),
        ("COMMAND_WAIT_SECONDS", "nan"),
        ("DATABASE_URL", "mysql://root:hunter2@db/x"),
        ("DB_POOL_MAX", "0"),
        ("TEMPORAL_ADDRESS", "nowhere"),
        ("S3_ENDPOINT_URL", "127.0.0.1:9000"),
        ("INTAKE_IDENTITY_CONFIDENCE_THRESHOLD", "101"),
        ("INTAKE_DUPLICATE_WINDOW_MINUTES", "-1"),
        ("INTAKE_SOP_HANDOFF_PROMPT", "Follow the script."),
        ("OBJECT_STORE_SCHEMES", ","),
        ("EVIDENCE_REQUIRE_HEAD", "perhaps"),
        ("EVIDENCE_MAX_BYTES", "1e6"),
        ("EVIDENCE_RETENTION_MODE", "FOREVER"),
        ("EVIDENCE_PRESIGN_TTL_SECONDS", "604801"),
        ("ALERT_STUCK_SCHEDULING_MINUTES", "-1"),
        ("SMS_ADAPTER", "not callable"),
        ("OUTBOX_MAX_ATTEMPTS", "0"),
        ("WORKER_ACTOR_TYPE", "ROBOT"),
        ("DEMO_SITE_ID", "demo"),
    ],
)
def test_an_unreadable_value_falls_back_with_a_warning_that_does_not_repeat_it(
    name: str, value: str
) -> None:
    environ = {f"DISPATCH_{name}": value, "DISPATCH_API_HOST": "::1"}
    settings, warnings = load_settings(environ)
    assert getattr(settings, name.lower()) == getattr(load(), name.lower())
    assert settings.api_host == "::1"
    [warning] = warnings
    assert warning.startswith(f"DISPATCH_{name} cannot be read")
    assert "hunter2" not in warning


def test_every_unreadable_value_is_named() -> None:
    environ = {"DISPATCH_API_PORT": "x", "DISPATCH_SMS_ENABLED": "x"}
    assert len(load_settings(environ)[1]) == 2


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("ALLOW_DEV_HEADERS", "perhaps"),
        ("JWT_ALGORITHMS", "HS256,none"),
        ("JWT_ALGORITHMS", "hs256"),
        ("JWT_ALGORITHMS", "RS512"),
        ("JWT_ALGORITHMS", ", ,"),
        ("JWT_LEEWAY_SECONDS", "-1"),
        ("JWT_LEEWAY_SECONDS", "inf"),
        ("JWT_LEEWAY_SECONDS", "soon"),
        ("JWKS_URL", "file:///keys.json"),
        ("JWKS_URL", "https://"),
        ("JWT_SECRET", "\udce9" * 40),
    ],
)
def test_an_unreadable_auth_value_stops_the_start(name: str, value: str) -> None:
    with pytest.raises(ConfigurationError, match=f"DISPATCH_AUTH_{name} cannot be read"):
        load_settings({f"DISPATCH_AUTH_{name}": value})


def test_production_wants_its_keys_over_https() -> None:
    environ = {"DISPATCH_ENV": "production", "DISPATCH_AUTH_JWKS_URL": "http://idp/keys"}
    with pytest.raises(ConfigurationError, match="https"):
        load_settings(environ)
    assert load_settings(environ | {"DISPATCH_ENV": "local"})[0].auth_jwks_url


def test_an_unreadable_value_does_not_hide_an_auth_value_that_must_stop_the_start() -> None:
    environ = {"DISPATCH_ENV": "production", "DISPATCH_AUTH_JWKS_URL": "http://idp/keys"}
    with pytest.raises(ConfigurationError, match="https"):
        load_settings(environ | {"DISPATCH_API_PORT": "x"})


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({}, ()),
        ({"DISPATCH_AUTH_JWT_SECRET": SECRET}, ("HS256",)),
        ({"DISPATCH_AUTH_JWKS_FILE": "keys"}, ("RS256", "ES256", "EdDSA")),
        (
            {"DISPATCH_AUTH_JWT_SECRET": SECRET, "DISPATCH_AUTH_JWKS_URL": "https://idp"},
            ("HS256", "RS256", "ES256", "EdDSA"),
        ),
        (
            {"DISPATCH_AUTH_JWT_SECRET": SECRET, "DISPATCH_AUTH_JWT_ALGORITHMS": "EdDSA, HS256"},
            ("EdDSA", "HS256"),
        ),
    ],
)
def test_the_algorithms_follow_from_what_is_configured(
    environ: dict[str, str], expected: tuple[str, ...]
) -> None:
    assert load(**environ).auth_jwt_algorithms == tuple(map(Algorithm, expected))


@pytest.mark.parametrize("name", ["AUTH_JWT_SECRET", "COMMAND_KEY"])
def test_a_short_secret_is_warned_of_without_showing_it(name: str) -> None:
    settings, warnings = load_settings({f"DISPATCH_{name}": "é" * 15})
    assert warnings == [f"DISPATCH_{name} is shorter than 32 bytes"]
    assert load_settings({f"DISPATCH_{name}": "é" * 16})[1] == []
    assert "é" not in repr(settings)


def test_settings_that_contradict_each_other_are_warned_of() -> None:
    _, warnings = load_settings(
        {
            "DISPATCH_ENV": "production",
            "DISPATCH_AUTH_ALLOW_DEV_HEADERS": "true",
            "DISPATCH_AUTH_JWKS_URL": "https://idp",
            "DISPATCH_AUTH_JWKS_FILE": "keys",
        }
    )
    assert len(warnings) == 2


@pytest.mark.parametrize(
    ("environ", "starts"),
    [
        ({"DISPATCH_ENV": "production"}, False),
        ({"DISPATCH_ENV": "production", "DISPATCH_AUTH_JWT_SECRET": "  "}, False),
        ({"DISPATCH_ENV": "production", "DISPATCH_AUTH_JWT_SECRET": SECRET}, True),
        ({"DISPATCH_ENV": "production", "DISPATCH_AUTH_JWKS_FILE": "keys"}, True),
        ({"DISPATCH_ENV": "production", "DISPATCH_AUTH_JWKS_URL": "https://idp"}, True),
        ({}, True),
    ],
)
def test_production_does_not_start_without_something_to_verify_with(
    environ: dict[str, str], *, starts: bool
) -> None:
    settings = load(**environ)
    if starts:
        require_verifier(settings)
    else:
        with pytest.raises(ConfigurationError):
            require_verifier(settings)


def test_settings_read_no_environment_behind_our_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DISPATCH_API_PORT", "1")
    assert load().api_port == 8080


def test_settings_are_frozen_and_misspelt_ones_refused() -> None:
    with pytest.raises(ValidationError):
        setattr(load(), "api_port", 1)  # noqa: B010  the type checker forbids the statement
    with pytest.raises(ValidationError):
        Settings.model_validate({"api_prot": 1})


def test_a_workers_deployment_and_its_build_belong_together() -> None:
    named = load(DISPATCH_WORKER_DEPLOYMENT_NAME="dispatch", DISPATCH_WORKER_BUILD_ID="1.4.0")
    assert (named.worker_deployment_name, named.worker_build_id) == ("dispatch", "1.4.0")
    with pytest.raises(ConfigurationError, match="belong together"):
        load_settings({"DISPATCH_WORKER_DEPLOYMENT_NAME": "dispatch"})


def test_alerts_count_over_a_window_unless_somebody_asks_for_all_since_the_start() -> None:
    assert load_settings({})[0].alert_window_minutes == 60
    assert load_settings({"DISPATCH_ALERT_WINDOW_MINUTES": "0"})[0].alert_window_minutes == 0
