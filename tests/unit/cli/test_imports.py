"""Nobody waits for what their command does not need."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from cli.caller import Caller, read_caller
from cli.groups import Imported
from cli.main import COMMANDS
from runtime.environment import ConfigurationError
from runtime.settings import load_settings

HEAVY = {
    *("asyncpg", "boto3", "cryptography", "fastapi", "holidays", "httpx", "jwt", "opentelemetry"),
    *("pydantic_settings", "reportlab", "structlog", "temporalio", "policy.model", "runtime.stack"),
}
RUN = """
import sys
from cli.main import main
sys.argv = ["dispatch", *sys.argv[1:]]
try:
    main()
finally:
    print("\\n".join(sys.modules), file=sys.stderr)
"""
IMPORTED = [(place, each) for place, each in COMMANDS.walk() if isinstance(each, Imported)]


def modules_of(tmp_path: Path, *words: str) -> set[str]:
    """Return what a command has imported when it ends."""
    nowhere = {"DISPATCH_API_URL": "http://127.0.0.1:9", "DISPATCH_AUTH_JWT_SECRET": "x" * 32}
    run = subprocess.run(  # noqa: S603  our own interpreter
        (sys.executable, "-c", RUN, *words),
        env={**os.environ, **nowhere},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    return set(run.stderr.splitlines())


def test_help_imports_nothing_that_only_a_command_needs(tmp_path: Path) -> None:
    found = modules_of(tmp_path, "--help")
    assert "cli.main" in found
    assert not found & {*HEAVY, "pydantic", "rich", "asyncio", "cli.stack"}


@pytest.mark.parametrize(
    ("words", "module"),
    [
        (("ticket", "get", "1"), "cli.tools.commands"),
        (("ticket", "triage", "--help"), "cli.tools.commands"),
        (("keygen",), "cli.records.keygen"),
    ],
)
def test_what_needs_no_server_and_no_rules_imports_none(
    tmp_path: Path, words: tuple[str, ...], module: str
) -> None:
    found = modules_of(tmp_path, *words)
    assert module in found
    assert not found & HEAVY


@pytest.mark.parametrize("words", [("verify",), ("outbox", "list"), ("webhook", "list")])
def test_what_works_on_the_database_imports_no_stack_and_no_engine(
    tmp_path: Path, words: tuple[str, ...]
) -> None:
    found = modules_of(tmp_path, *words, "--help")
    assert "cli.work" in found
    assert not found & {"runtime.stack", "temporalio", "fastapi"}


@pytest.mark.parametrize(
    ("place", "command"), IMPORTED, ids=[" ".join(place) for place, _ in IMPORTED]
)
def test_the_line_about_a_command_is_the_first_sentence_of_its_help(
    place: tuple[str, ...], command: Imported
) -> None:
    if len(place) == 1:
        sentence = re.split(r"(?<=\.)\s", command.function().__doc__ or "", maxsplit=1)[0]
        assert command.summary == sentence
    assert callable(command.function())


@pytest.mark.parametrize(
    "environ",
    [
        {},
        {"DISPATCH_ENV": "production", "NODE_ENV": "test"},
        {"DISPATCH_ENV": "  ", "NODE_ENV": "Production"},
        {"NODE_ENV": "staging"},
        {"DISPATCH_ENV": "staging"},
        {"DISPATCH_API_URL": "https://dispatch.example/door", "DISPATCH_TOKEN": "abc"},
        {"DISPATCH_API_URL": "ftp://dispatch.example", "DISPATCH_TOKEN": ""},
        {"DISPATCH_API_URL": "http://a b", "DISPATCH_AUTH_JWT_SECRET": " secret "},
        {"DISPATCH_AUTH_JWT_SECRET": "\udcff"},
        {"DISPATCH_TOKEN": "\udcff"},
        {"DISPATCH_AUTH_JWT_ISSUER": "us", "DISPATCH_AUTH_JWT_AUDIENCE": "them"},
    ],
    ids=str,
)
def test_a_caller_is_read_as_the_settings_are(environ: dict[str, str]) -> None:
    try:
        caller, warnings = read_caller(environ)
    except ConfigurationError as fault:
        with pytest.raises(ConfigurationError, match=re.escape(str(fault))):
            load_settings(environ)
        return
    settings, other = load_settings(environ)
    token, secret = settings.token, settings.auth_jwt_secret
    assert caller == Caller(
        settings.mode,
        settings.api_url,
        None if token is None else token.get_secret_value(),
        None if secret is None else secret.get_secret_value(),
        settings.auth_jwt_issuer,
        settings.auth_jwt_audience,
    )
    assert bool(warnings) == any("cannot be read" in each for each in other)
