"""What one file names another file has: nothing that is declared is forgotten where it is used."""

import pkgutil
from collections.abc import Iterator, Mapping
from importlib import import_module
from types import SimpleNamespace
from typing import Any

import pytest

import policy
from activities.command.gathering import Gathering
from activities.evidence.stored_facts import Outside
from activities.ticket.facts import TicketGathering
from activities.ticket.writes import WRITES
from api.lifespan import addresses, read_tools
from policy.command.registry import command_tool
from policy.command.writes import Write
from policy.rules.bundle import load_bundle
from policy.ticket.facts import OUTSIDE
from runtime.settings import load_settings
from runtime.temporal.destinations import destinations

BUNDLE = load_bundle()
GATHERINGS: Mapping[str, tuple[type[Gathering], type[Outside]]] = {
    "ticket": (TicketGathering, Outside)
}
"""By subject: what gathers the facts of its tools, and what gathers those from outside."""
STATEMENTS = (WRITES,)
NOT_USED: Any = SimpleNamespace(status=None)


@pytest.mark.parametrize("name", BUNDLE.commands)
def test_every_fact_that_a_tool_needs_is_gathered(name: str) -> None:
    gathering, outside = GATHERINGS[BUNDLE.commands[name].subject]
    for need in command_tool(name).needs:
        assert hasattr(outside if need in OUTSIDE else gathering, need), need


def test_every_row_that_a_decision_may_write_has_its_statement() -> None:
    for module in pkgutil.walk_packages(policy.__path__, "policy."):
        import_module(module.name)
    ours = {write for write in writes_of(Write) if write.__module__.startswith("policy.")}
    assert ours == set().union(*STATEMENTS)


def test_every_read_of_the_bundle_has_its_reader() -> None:
    readers = read_tools(NOT_USED, BUNDLE, NOT_USED, NOT_USED)
    assert set(readers._tools) == set(BUNDLE.tools) - set(BUNDLE.commands)  # noqa: SLF001


def test_every_subject_of_the_bundle_has_an_address_and_a_destination() -> None:
    settings, _ = load_settings({})
    subjects = {rule.subject for rule in BUNDLE.commands.values()}
    assert subjects <= set(addresses(NOT_USED, BUNDLE))
    assert subjects <= set(destinations(BUNDLE, settings))


def writes_of(base: type[Write]) -> Iterator[type[Write]]:
    """Yield every kind of row below `base`."""
    for each in base.__subclasses__():
        yield each
        yield from writes_of(each)
