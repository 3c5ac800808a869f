"""The pages stay true: what they name and link to exists, and no decision is missing."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from policy.rules.bundle import load_bundle

ROOT = Path(__file__).parents[2]
PAGES = {
    str(page.relative_to(ROOT)): page.read_text("utf-8")
    for page in (
        *ROOT.glob("*.md"),
        *ROOT.glob("docs/**/*.md"),
        *ROOT.glob("deploy/**/*.md"),
    )
}
INDEX = "docs/adr/README.md"
DECISIONS = sorted(name for name in PAGES if re.fullmatch(r"docs/adr/\d{4}-[a-z0-9-]+\.md", name))
FOLDERS = {path.name for path in ROOT.iterdir() if path.is_dir() and path.name[0] != "."}
LINE = re.compile(r"^\| ([^|]+) \| [^|]+ \| `([^`]+)` \|$", re.MULTILINE)
GLOSSARY = LINE.findall(PAGES["docs/glossary.md"])
MAKE = (ROOT / "Makefile").read_text("utf-8")
FENCED = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)
CODE = re.compile(r"`([^`\n]+)`")
LINK = re.compile(r"\]\(([^)#\s]+)[^)]*\)")
FILE = re.compile(r"\.(?:py|sql|toml)$")
NAMED = re.compile(r"[\w.<>*/-]+")


def codes_of(text: str) -> list[str]:
    """Return what stands between backticks, but for whole blocks."""
    return CODE.findall(FENCED.sub("", text))


def paths_of(text: str) -> Iterator[str]:
    """Yield every path that a page names; a bare module is a sibling of the one before it."""
    folder = ""
    for code in codes_of(text):
        if not NAMED.fullmatch(code):
            continue
        top, within, _ = code.partition("/")
        if top and within and (top in FOLDERS or FILE.search(code)):
            folder = code.rpartition("/")[0]
            yield code
        elif folder and re.fullmatch(r"\w+\.py", code):
            yield f"{folder}/{code}"


def missing_of(text: str) -> list[str]:
    """Return the named paths that do not exist; `<noun>` stands for any name."""
    patterns = {path: re.sub(r"<\w+>", "*", path).rstrip("/") for path in paths_of(text)}
    return [path for path, pattern in patterns.items() if not any(ROOT.glob(pattern))]


def section(text: str, title: str) -> str:
    """Return what a page says under a heading; empty without it."""
    found = re.search(rf"^## {title}\n(.*?)(?=^## |\Z)", text, re.MULTILINE | re.DOTALL)
    return found.group(1) if found else ""


def plain(text: str) -> str:
    """Return a text on one line."""
    return " ".join(text.split())


def spelled(text: str) -> str:
    """Return a text by its words alone, whether it is prose, a class or a column."""
    return " ".join(re.findall(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])|\d+", text)).lower()


@pytest.mark.parametrize("name", PAGES)
def test_every_path_that_a_page_names_exists(name: str) -> None:
    assert missing_of(PAGES[name]) == []


@pytest.mark.parametrize("name", PAGES)
def test_every_relative_link_leads_to_a_file(name: str) -> None:
    links = [link for link in LINK.findall(PAGES[name]) if "://" not in link]
    assert [link for link in links if not ((ROOT / name).parent / link).exists()] == []


@pytest.mark.parametrize("name", PAGES)
def test_every_make_target_that_a_page_names_exists(name: str) -> None:
    named = {code.split()[1] for code in codes_of(PAGES[name]) if code.startswith("make ")}
    assert {target for target in named if f"\n{target}:" not in MAKE} == set()


@pytest.mark.parametrize("name", DECISIONS)
def test_every_decision_says_what_enforces_it(name: str) -> None:
    enforced = section(PAGES[name], "Enforced by")
    proofs = [*paths_of(enforced), *re.findall(r"`(?:make|lint-imports)\b", enforced)]
    assert proofs, "name the test, the target or the contract"


def test_the_index_has_every_decision_in_order_and_no_other() -> None:
    listed = re.findall(r"^\| \[\d+\]\(([^)]+)\) \|", PAGES[INDEX], re.MULTILINE)
    assert listed == [Path(name).name for name in DECISIONS]


@pytest.mark.parametrize("name", DECISIONS)
def test_the_index_quotes_a_decision_as_it_stands(name: str) -> None:
    number = int(Path(name).name.partition("-")[0])
    rows = re.findall(rf"^\| \[{number}\]\([^)]+\) \| (.+?) \| .+ \|$", PAGES[INDEX], re.MULTILINE)
    assert rows, f"{INDEX} has no line for decision {number}"
    assert rows[0] in plain(section(PAGES[name], "Decision"))


@pytest.mark.parametrize(("word", "path"), GLOSSARY)
def test_a_word_of_the_glossary_is_found_where_it_is_defined(word: str, path: str) -> None:
    assert spelled(word) in spelled(f"{path} {(ROOT / path).read_text('utf-8')}")


def test_a_word_has_one_line_in_the_glossary() -> None:
    words = [word for word, _ in GLOSSARY]
    assert len(words) > 40
    assert len(set(words)) == len(words)


def test_every_page_of_the_docs_is_linked_from_the_readme() -> None:
    linked = set(LINK.findall(PAGES["README.md"]))
    pages = {name for name in PAGES if re.fullmatch(r"docs/[^/]+\.md", name)} | {INDEX}
    assert pages - linked == set()


def test_agents_are_told_how_many_tools_there_are() -> None:
    assert f"The closed toolset has {len(load_bundle().tools)} tools" in PAGES["docs/agents.md"]
