"""A stack whose processes a test may kill, stop and cut off; the supervisor brings them back."""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass

from policy.rules.bundle import load_bundle
from records.audit.verification import Verification
from runtime.stack import EmbeddedStack, PartName
from tests.polling import eventually

GATE = "SELECT pg_advisory_xact_lock(hashtextextended($1, 0))"
WAITS_AT_GATE = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"


@dataclass(frozen=True)
class Faults:
    """What can go wrong with a running stack."""

    stack: EmbeddedStack

    def kill(self, part: PartName) -> None:
        """Kill a part as the kernel would, with no chance to clean up."""
        os.kill(self.stack.pid(part), signal.SIGKILL)

    @contextmanager
    def stopped(self, part: PartName) -> Iterator[None]:
        """Stop a part in the middle of whatever it does, and let it go on afterwards."""
        pid = self.stack.pid(part)
        os.kill(pid, signal.SIGSTOP)
        try:
            yield
        finally:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)

    async def is_back(self, part: PartName, killed: int) -> None:
        """Wait until the supervisor has restarted a killed part."""

        async def has_new_process() -> bool:
            with suppress(LookupError):
                return self.stack.pid(part) != killed
            return False

        await eventually(has_new_process, within=30, what=f"the restart of {part}")


async def assert_whole(owner_url: str) -> None:
    """Re-check every chain and every row that belongs to it."""
    check = Verification(owner_url, frozenset(load_bundle().pairs))
    assert [fault async for fault in check.faults()] == []
