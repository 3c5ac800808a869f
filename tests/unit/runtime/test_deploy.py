"""The deployment examples name what the product really reads."""

import re
from pathlib import Path

from contracts.attributes import SEARCH_ATTRIBUTES
from runtime.settings import Settings, load_settings, require_verifier
from runtime.variables import OTHER_NAMES

DEPLOY = Path(__file__).parents[3] / "deploy"
NAME = re.compile(r"\b(?:DISPATCH|OTEL)_[A-Z0-9_]+\b")


def variables() -> set[str]:
    """Return every variable that some setting reads."""
    names = {name for others in OTHER_NAMES.values() for name in others}
    return names | {f"DISPATCH_{field.upper()}" for field in Settings.model_fields}


def text(name: str) -> str:
    return (DEPLOY / name).read_text(encoding="utf-8")


def test_the_readme_names_every_variable_and_no_other() -> None:
    aliased = {f"DISPATCH_{field.upper()}" for field in OTHER_NAMES}
    named = set(NAME.findall(text("README.md"))) - {"DISPATCH_INTAKE_", "DISPATCH_EVIDENCE_"}
    named -= {"DISPATCH_AUTH_"}
    optional = aliased | {"REQUIRE_EVIDENCE_CHECKSUM", "NODE_ENV"}
    assert named - optional == variables() - optional


def test_the_examples_name_known_variables_only() -> None:
    for path in (DEPLOY / "dispatch.env.example", *DEPLOY.glob("kubernetes/*.yaml")):
        assert set(NAME.findall(path.read_text(encoding="utf-8"))) <= variables(), path


def test_the_example_environment_is_a_valid_production_one() -> None:
    lines = text("dispatch.env.example").splitlines()
    environ = dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))
    settings, warnings = load_settings(environ)
    require_verifier(settings)
    assert warnings == []
    assert not settings.dev_headers_enabled


def test_the_readme_registers_every_search_attribute() -> None:
    pairs = dict(re.findall(r"\b([A-Z]\w+)=(Keyword|Int|Text)\b", text("README.md")))
    assert {f"Dispatch{name}": kind for name, kind in pairs.items()} == SEARCH_ATTRIBUTES
