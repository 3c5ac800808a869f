"""The table of the toolset in the docs is the one that the registry makes."""

from pathlib import Path

from api.openapi.toolset_page import toolset_page
from policy.rules.bundle import load_bundle

PAGE = Path(__file__).parents[3] / "docs" / "toolset.md"


def test_the_page_is_up_to_date() -> None:
    assert PAGE.read_text("utf-8") == toolset_page(load_bundle()), "run: make docs"


def test_every_tool_has_its_row() -> None:
    bundle = load_bundle()
    text = toolset_page(bundle)
    for name, rule in bundle.tools.items():
        assert f"| `{name}` | `{rule.method} {rule.route}` | {', '.join(rule.roles)} |" in text
