"""The command line: development tokens and exit codes."""

import sys
from pathlib import Path

import jwt
import pytest

from cli import main as cli
from cli.caller import Caller
from cli.identity import development_identity
from policy.model import Role

SECRET = "not-a-real-secret-but-long-enough-to-be-one"


def run(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    monkeypatch.setattr(sys, "argv", ["dispatch", *arguments])
    with pytest.raises(SystemExit) as ending:
        cli.main()
    return int(ending.value.code or 0)


@pytest.fixture(autouse=True)
def _own_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("SECRET", "JWKS_URL", "JWKS_FILE", "ISSUER", "AUDIENCE", "ALGORITHMS"):
        monkeypatch.delenv(f"DISPATCH_AUTH_JWT_{name}", raising=False)
        monkeypatch.delenv(f"DISPATCH_AUTH_{name}", raising=False)


def test_a_token_carries_what_was_asked_for(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("DISPATCH_AUTH_JWT_SECRET", SECRET)
    monkeypatch.setenv("DISPATCH_AUTH_JWT_AUDIENCE", "dispatch")
    asked = ("--role", "technician", "--actor", "tech-7", "--technician", "t-7", "--ttl", "60")
    assert run(monkeypatch, "token", *asked) == 0

    claims = jwt.decode(
        capsys.readouterr().out.strip(), SECRET, algorithms=["HS256"], audience="dispatch"
    )
    assert claims.pop("exp") - claims.pop("iat") == 60
    assert claims == {
        "sub": "tech-7",
        "role": "technician",
        "actor_type": "HUMAN",
        "tenant_id": "default",
        "scope": {"account_ids": "*", "site_ids": "*"},
        "technician_id": "t-7",
        "aud": "dispatch",
    }


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        (("--role", "agent"), "AGENT"),
        (("--role", "system"), "SYSTEM"),
        (("--role", "dispatcher"), "HUMAN"),
        (("--role", "agent", "--actor-type", "service"), "SERVICE"),
    ],
)
def test_a_token_is_of_the_actor_type_of_its_role_unless_another_is_named(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    asked: tuple[str, ...],
    expected: str,
) -> None:
    monkeypatch.setenv("DISPATCH_AUTH_JWT_SECRET", SECRET)
    assert run(monkeypatch, "token", *asked) == 0
    claims = jwt.decode(capsys.readouterr().out.strip(), SECRET, algorithms=["HS256"])
    assert claims["actor_type"] == expected


def test_a_command_that_acts_as_an_agent_says_so_by_token_and_by_headers() -> None:
    assert development_identity(Caller(), Role.AGENT)["X-Actor-Type"] == "AGENT"
    bearer = development_identity(Caller(secret=SECRET), Role.AGENT)["Authorization"]
    claims = jwt.decode(bearer.removeprefix("Bearer "), SECRET, algorithms=["HS256"])
    assert claims["actor_type"] == "AGENT"


def test_without_a_secret_there_is_no_token(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, "token", "--role", "dispatcher") == 1
    output = capsys.readouterr()
    assert not output.out
    assert "DISPATCH_AUTH_JWT_SECRET" in output.err


@pytest.mark.parametrize(
    "arguments",
    [("token",), ("token", "--role", "king"), ("fly",), ("up", "--port", "0"), ("status", "-x")],
)
def test_wrong_usage_is_64(monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...]) -> None:
    assert run(monkeypatch, *arguments) == 64


@pytest.mark.parametrize("command", ["up", "status", "down", "migrate", "bootstrap", "token"])
def test_every_command_shows_examples(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], command: str
) -> None:
    assert run(monkeypatch, command, "--help") == 0
    assert f"dispatch {command}" in capsys.readouterr().out.partition("Examples:")[2]


def test_the_status_of_no_stack_is_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    assert run(monkeypatch, "status") == 1
