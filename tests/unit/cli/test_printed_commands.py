"""Whatever a page, an example, a unit or a help text tells somebody to type exists as printed."""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer

from cli.groups import LazyGroup
from cli.main import app

ROOT = Path(__file__).parents[3]
COMMAND = typer.main.get_command(app)
PAGES = {
    str(path.relative_to(ROOT)): path.read_text("utf-8")
    for pattern in ("*.md", "docs/**/*.md", "deploy/**/*")
    for path in sorted(ROOT.glob(pattern))
    if path.is_file() and path.suffix in {".md", ".example", ".service", ".yaml"}
}
TARGETS = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE))
BLOCK = re.compile(r"^ *```(?:sh)?\n(.*?)^ *```", re.MULTILINE | re.DOTALL)
INLINE = re.compile(r"`([^`]+)`")
INNER = re.compile(r"\$\(([^()]*)\)|\((dispatch [^()]*)\)")
START = re.compile(r"(?:^|ExecStart=|Exec=)(?:\w+=\S* )*(?:\S*/)?(dispatch|make) (?=[a-z-])(.*)")
WORD = re.compile(r"[a-z][a-z-]*")


def lines_of(text: str) -> Iterator[str]:
    """Yield what may be a command: lines of blocks, of examples and units, and inline code."""
    yield from (
        line for block in BLOCK.findall(text) for line in block.replace("\\\n", " ").splitlines()
    )
    yield from (" ".join(code.split()) for code in INLINE.findall(BLOCK.sub("", text)))
    yield from (
        line for line in text.splitlines() if line.startswith(("ExecStart=", "  dispatch "))
    )


def commands_of(text: str) -> Iterator[tuple[str, list[str]]]:
    """Yield program and words of each command, those within others too."""
    for line in lines_of(text):
        inner = [word for found in INNER.findall(line) for word in found if word]
        for each in (*inner, INNER.sub("X", line)):
            if found := START.match(each.strip()):
                words = shlex.split(found[2].replace("...", "").partition(" | ")[0], comments=True)
                yield found[1], words


def fault_of(program: str, words: list[str]) -> str | None:
    """Return what of a command does not exist."""
    if program == "make":
        targets = [word for word in words if WORD.fullmatch(word)]
        return next((word for word in targets if word not in TARGETS), None)
    command: Any = COMMAND
    rest = list(words)
    while rest and isinstance(command, LazyGroup):
        name = rest.pop(0)
        if name.startswith("-"):
            return None if name == "--help" else name
        if (command := command.get_command(None, name)) is None:
            return name
    known = {option for each in command.params for option in (*each.opts, *each.secondary_opts)}
    used = [word.partition("=")[0] for word in rest if word.startswith("--")]
    return next((word for word in used if word not in known | {"--help"}), None)


def helps(  # a command of the parser that typer brings
    command: Any,  # noqa: ANN401
    name: str = "dispatch",
) -> Iterator[tuple[str, str]]:
    """Yield what each command says about itself."""
    yield name, f"{command.help or ''}\n{command.epilog or ''}"
    members = command.list_commands(None) if isinstance(command, LazyGroup) else []
    for word in members:
        yield from helps(command.get_command(None, word), f"{name} {word}")


def test_every_command_that_a_page_prints_exists_with_its_options() -> None:
    found = [(page, *each) for page, text in PAGES.items() for each in commands_of(text)]
    assert len(found) > 100
    assert [each for each in found if fault_of(*each[1:])] == []


def test_every_command_that_a_help_text_prints_exists_with_its_options() -> None:
    found = [(name, *each) for name, text in helps(COMMAND) for each in commands_of(text)]
    assert len(found) > 100
    assert [each for each in found if fault_of(*each[1:])] == []


@pytest.mark.parametrize(
    "printed", ["`dispatch keygen --signing`", "(see `X=$(dispatch keygn)`)", "`make upp`"]
)
def test_a_command_that_is_not_there_is_noticed(printed: str) -> None:
    assert [each for each in commands_of(printed) if fault_of(*each)]
