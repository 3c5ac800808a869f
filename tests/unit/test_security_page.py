"""The threat model names tests that exist: what it says was attacked is attacked in every run."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "security.md").read_text(encoding="utf-8")
CITED = re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", PAGE)


@pytest.mark.parametrize(("path", "name"), CITED, ids=[name for _, name in CITED])
def test_a_test_that_the_page_cites_is_there(path: str, name: str) -> None:
    tree = ast.parse((ROOT / path).read_text(encoding="utf-8"))
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef)
    assert name in {node.name for node in ast.walk(tree) if isinstance(node, kinds)}


def test_every_attack_of_the_page_has_its_test() -> None:
    rows = PAGE.partition("## What was attacked, and held")[2].splitlines()
    attacks = [
        row for row in rows if row.startswith("| ") and not row.startswith(("| Tried", "| ---"))
    ]
    assert len(attacks) == len(CITED) > 20
