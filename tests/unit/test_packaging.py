"""The folders are the packages: their names are ours alone, and all that they need comes along."""

import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
PACKAGES: list[str] = PROJECT["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]
MOST_MODULES = 15


@pytest.mark.parametrize("name", PACKAGES)
def test_no_dependency_owns_one_of_our_names(name: str) -> None:
    """A clash would overwrite our files among the installed ones, and pip would not say a word."""
    owners = set(packages_distributions().get(name, ()))
    assert owners <= {PROJECT["project"]["name"]}


def test_every_folder_with_an_init_is_in_the_wheel_and_in_the_import_contracts() -> None:
    found = sorted(init.parent.name for init in ROOT.glob("*/__init__.py"))
    assert found == sorted(PACKAGES)
    assert found == sorted(PROJECT["tool"]["importlinter"]["root_packages"])


def test_no_folder_is_a_corridor() -> None:
    """A folder of more modules than one can see at a glance wants rooms."""
    folders = {path.parent for path in ROOT.glob("*/**/*.py") if ".venv" not in path.parts}
    long = {
        str(folder.relative_to(ROOT)): count
        for folder in folders
        if (count := len([each for each in folder.glob("*.py") if each.name != "__init__.py"]))
        > MOST_MODULES
    }
    assert long == {}


def test_every_package_says_what_it_is_for() -> None:
    silent = [
        str(init.relative_to(ROOT))
        for package in PACKAGES
        for init in (ROOT / package).rglob("__init__.py")
        if not init.read_text("utf-8").startswith('"""')
    ]
    assert silent == []
