"""What there is to attack, found in the sources: patterns, headers and functions that read."""

import ast
import re
from collections.abc import Iterator
from functools import cache
from importlib import import_module
from inspect import Parameter, isfunction, signature
from pathlib import Path
from pkgutil import walk_packages
from types import ModuleType
from typing import Any, NamedTuple

from pydantic import JsonValue
from starlette.datastructures import Headers

ROOT = Path(__file__).parents[3]
ROOMS = ("policy", "api", "records", "relay", "mcp_server", "contracts")
METHODS = frozenset({"match", "fullmatch", "search", "findall", "finditer", "sub", "split"})
RAW = (bytes, object, Any, Headers, JsonValue)
"""How the first parameter of a function is annotated that reads what others sent."""


class Pattern(NamedTuple):
    """A pattern of the sources, and a way in which it is used."""

    where: str
    pattern: re.Pattern[Any]
    method: str


@cache
def modules() -> tuple[ModuleType, ...]:
    """Return every module of the rooms."""
    names = [
        found.name
        for room in ROOMS
        for found in walk_packages(import_module(room).__path__, f"{room}.")
    ]
    return tuple(import_module(name) for name in (*ROOMS, *names))


def trees() -> Iterator[tuple[ModuleType, ast.Module]]:
    """Yield every module with its syntax tree."""
    for module in modules():
        yield module, ast.parse(Path(module.__file__ or "").read_text())


def patterns() -> Iterator[Pattern]:
    """Yield every pattern with each method that is called on it, those in place included."""
    for module, tree in trees():
        compiled = {
            name: each for name, each in vars(module).items() if isinstance(each, re.Pattern)
        }
        used = {
            (node.func.value.id, node.func.attr): node
            for node in ast.walk(tree)
            if isinstance(node, ast.Call)
            and isinstance(node.func, ast.Attribute)
            and isinstance(node.func.value, ast.Name)
            and node.func.attr in METHODS
        }
        for name, method in used:
            if name in compiled:
                yield Pattern(f"{module.__name__}.{name}", compiled[name], method)
        for (name, method), call in used.items():
            if name == "re":
                text = ast.literal_eval(call.args[0])
                yield Pattern(f"{module.__name__} in place", re.compile(text), method)


def compilations() -> dict[str, int]:
    """Return how many patterns each module makes, wherever and however."""
    made: dict[str, int] = {}
    for module, tree in trees():
        calls = [
            node
            for node in ast.walk(tree)
            if isinstance(node, ast.Call)
            and ast.unparse(node.func) in {"re.compile", "compile_path"}
        ]
        if calls:
            made[module.__name__] = len(calls)
    return made


def headers_read() -> set[str]:
    """Return the names of the headers that are looked up anywhere."""
    found = set()
    for _, tree in trees():
        for node in ast.walk(tree):
            if not isinstance(node, ast.Call):
                continue
            subject = node.func.value if isinstance(node.func, ast.Attribute) else None
            looked_in = [subject, *node.args[:1]]
            if any(
                each is not None and ast.unparse(each).endswith("headers") for each in looked_in
            ):
                texts = [each.value for each in node.args if isinstance(each, ast.Constant)]
                found |= {text.lower() for text in texts if isinstance(text, str) and text}
    return found


def readers() -> set[str]:
    """Return the public functions whose first parameter is raw: bytes, headers, any value."""
    return {
        f"{module.__name__}.{name}"
        for module in modules()
        for name, each in vars(module).items()
        if isfunction(each)
        and each.__module__ == module.__name__
        and not name.startswith("_")
        and _first_hint(each) in RAW
    }


def _first_hint(function: Any) -> object:  # noqa: ANN401  any function
    positional = (Parameter.POSITIONAL_ONLY, Parameter.POSITIONAL_OR_KEYWORD)
    first = next(iter(signature(function).parameters.values()), None)
    return first.annotation if first is not None and first.kind in positional else None
