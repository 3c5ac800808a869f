"""The product's programs with one more kind of workflow: `python -m tests.kinds.programs NAME`."""

import sys
from functools import partial
from pathlib import Path
from typing import Any
from unittest.mock import patch

import api.lifespan
import api.main
import policy.tools
import worker.main
import worker.parts
from policy.command.decide import decide
from policy.command.effects import Decision
from policy.command.facts import Facts
from policy.command.message import Command
from policy.reads.guide import load_guide
from policy.rules.bundle import Bundle
from runtime.temporal.destinations import destinations
from tests.kinds.counter.activities import counter_worker
from tests.kinds.counter.address import CounterAddress, counter_destination
from tests.kinds.counter.policy import COUNTER, RULES, counting_bundle
from worker.watchdog import watched

DEFECT, HANG = "a-defect", "a-hang"
"""The correlation ids of commands that fail in the policy, or never end there."""
HANG_SECONDS, FEW_ATTEMPTS = 3.0, 2
TOOLS = Path(__file__).with_name("counter") / "tools"
PROGRAMS = {"worker": worker.main.main, "api": api.main.main}


def _defective(bundle: Bundle, facts: Facts, command: Command, *asked: Any) -> Decision:  # noqa: ANN401
    """Decide, but for the commands whose correlation id asks for a defect."""
    if command.correlation_id == DEFECT:
        raise LookupError("a defect of ours")
    while command.correlation_id == HANG:
        pass
    return decide(bundle, facts, command, *asked)


def install() -> None:
    """Add the counter wherever a kind is named: its tools, rules, address, destination, worker."""
    policy.tools.__path__.append(str(TOOLS))
    words = dict(load_guide().tools)
    for name in RULES:
        words[name] = words["ticket.cancel"]  # that a gateway can describe it
    guide = load_guide().model_copy(update={"tools": words})
    for reader in ("api.openapi.document", "policy.reads.guide", "mcp_server.catalog"):
        patch(f"{reader}.load_guide", lambda: guide).start()
    patch("runtime.bundle.load_bundle", counting_bundle).start()
    addresses = api.lifespan.addresses
    patch(
        "api.lifespan.addresses",
        lambda pool, bundle: {**addresses(pool, bundle), COUNTER: CounterAddress()},
    ).start()
    for sender in ("api.lifespan", "worker.promise_keeper"):
        patch(
            f"{sender}.destinations",
            lambda bundle, settings: {
                **destinations(bundle, settings),
                COUNTER: counter_destination(settings.temporal_task_queue),
            },
        ).start()
    patch("activities.command.transaction.decide", _defective).start()
    patch("activities.command.transaction.MOST_ATTEMPTS", FEW_ATTEMPTS).start()
    patch("worker.main.watched", partial(watched, HANG_SECONDS)).start()
    patch("worker.main.WORKERS", (*worker.main.WORKERS, counter_worker)).start()
    patch("worker.parts.OUR_PURE_MODULES", (*worker.parts.OUR_PURE_MODULES, "tests")).start()


if __name__ == "__main__":
    install()
    PROGRAMS[sys.argv[1]]()
