"""The loop of the workflows that stand: a round, a pause, and the next, for years."""

from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import TypeVar

from temporalio import workflow
from temporalio.exceptions import ActivityError, is_cancelled_exception

with workflow.unsafe.imports_passed_through():
    from contracts.command import Message
    from contracts.standing import INTERVAL_CHANGED, Rounds

R = TypeVar("R", bound=Message)


class Standing:
    """One run is one line of the list, however many rounds it does; then it continues as new.

    A round that fails is not the end of it: the next one comes. To cancel it ends it.
    """

    def __init__(self, start: Rounds) -> None:
        self.every_seconds = start.every_seconds
        self._changed = False

    @workflow.signal(name=INTERVAL_CHANGED)
    def _change(self, every_seconds: int) -> None:
        """Take another interval, from the pause in hand on."""
        wanted = max(every_seconds, 1)
        self._changed = wanted != self.every_seconds
        self.every_seconds = wanted

    async def stand(self, start: Rounds, go_round: Callable[[], Awaitable[R]]) -> R:
        """Do round after round; return what the first one found if it is the only one."""
        while True:
            try:
                done = await go_round()
            except ActivityError as failure:
                if not start.goes_on or is_cancelled_exception(failure):
                    raise
                workflow.set_current_details("The last round failed; the next one comes.")
            else:
                if not start.goes_on:
                    return done
                workflow.set_current_details(f"Last round: {done.model_dump_json()}")
            await self._pause()
            if workflow.info().is_continue_as_new_suggested():
                again = {"every_seconds": self.every_seconds}
                workflow.continue_as_new(start.model_copy(update=again))

    async def _pause(self) -> None:
        """Wait until the next round is due, counted from now if the interval changes."""
        self._changed = True
        while self._changed:
            self._changed = False
            every = timedelta(seconds=self.every_seconds)
            try:
                await workflow.wait_condition(
                    lambda: self._changed, timeout=every, timeout_summary="the next round"
                )
            except TimeoutError:
                return
