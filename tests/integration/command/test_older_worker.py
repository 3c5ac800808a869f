"""A worker of an older release: a tool that it does not know is refused, and blocks nothing."""

import pytest

from policy.rules.bundle import Bundle, load_bundle
from runtime.postgres.pool import Connection, Pool
from tests.integration.command.command_runner import Runner, build_runner

pytest_plugins = ["tests.integration.servers.postgres_fixture"]

CANCEL = {"reason": "not needed any more"}


@pytest.fixture
async def runner(pool: Pool, owner: Connection) -> Runner:
    return await build_runner(pool, owner)


def without(tool: str) -> Bundle:
    """Return the bundle of a release that did not know `tool`."""
    tools = {name: rule for name, rule in load_bundle().tools.items() if name != tool}
    fields = {name: getattr(load_bundle(), name) for name in Bundle.model_fields}
    return Bundle.model_construct(**{**fields, "tools": tools})


async def test_a_newer_tool_is_denied_and_its_key_can_be_used_again(runner: Runner) -> None:
    ticket = await runner.create()
    newer = runner.command("ticket.cancel", CANCEL, ticket)
    runner.bundle = without("ticket.cancel")
    denied = await runner.send(newer)
    assert (denied.code, denied.status) == ("UNKNOWN_TOOL", 404)

    runner.bundle = load_bundle()
    again = runner.command("ticket.cancel", CANCEL, ticket, request_id=newer.request_id)
    assert (await runner.send(again)).status == 200
