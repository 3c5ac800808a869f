"""The cycles: read the queue, serve its tickets in turn, say how it goes (contract 16.2)."""

import asyncio
from contextlib import suppress
from typing import Any
from uuid import uuid4

import structlog

from automation.client import Gateway, GatewayError
from automation.dispatching import Dispatching, Ending
from automation.tally import Tally
from runtime.settings import Settings

NOTHING_SEEN = {"queue_total": 0, "queue_missing_tech": 0, "correlation_id": None}


class Cycles:
    """Runs cycle after cycle until told to stop; the ticket in hand is finished."""

    def __init__(
        self, settings: Settings, gateway: Gateway, dispatching: Dispatching, tally: Tally
    ) -> None:
        self._settings = settings
        self._gateway = gateway
        self._dispatching = dispatching
        self._tally = tally
        self._log = structlog.get_logger().bind(worker=settings.worker_identity)
        self._stopping = asyncio.Event()
        self._clock = asyncio.get_running_loop().time
        self._served_in: dict[str, int] = {}
        self._seen: dict[str, Any] = dict(NOTHING_SEEN)
        self._beat_at = 0.0

    def stop(self) -> None:
        """Begin nothing new."""
        self._stopping.set()

    async def run(self) -> None:
        """Run a cycle at every interval, with a heartbeat beside it."""
        beating = asyncio.create_task(self._beat_on())
        try:
            while not self._stopping.is_set():
                began_at = self._clock()
                await self.cycle()
                rest = began_at + self._settings.worker_loop_ms / 1000 - self._clock()
                with suppress(TimeoutError):
                    await asyncio.wait_for(self._stopping.wait(), max(0, rest))
        finally:
            beating.cancel()

    async def cycle(self) -> None:
        """Serve the tickets without technician, at most the batch limit."""
        self._tally.cycles += 1
        correlation_id = str(uuid4())
        try:
            rows = await self._gateway.scheduled_queue(correlation_id)
        except GatewayError as error:
            self._tally.failed(error.code)
            self._log.error(
                "worker.cockpit_error",
                cycle=self._tally.cycles,
                error_code=error.code,
                status=error.status,
                correlation_id=correlation_id,
            )
            return
        waiting = [row["ticket_id"] for row in rows if row["assigned_tech"] is None]
        self._seen = {
            "queue_total": len(rows),
            "queue_missing_tech": len(waiting),
            "correlation_id": correlation_id,
        }
        self._beat()
        await self._serve(self._in_turn(waiting), correlation_id)

    async def _serve(self, batch: list[str], correlation_id: str) -> None:
        outcomes: list[Ending] = []
        for ticket_id in batch:
            if self._stopping.is_set():
                break
            self._served_in[ticket_id] = self._tally.cycles
            outcomes.append(await self._dispatching.serve(ticket_id, correlation_id))
        skipped = outcomes.count(Ending.SKIPPED)
        self._log.info(
            "worker.cycle_complete",
            cycle=self._tally.cycles,
            queued_count=len(batch),
            processed_count=len(outcomes) - skipped,
            skipped_count=skipped,
            success_count=outcomes.count(Ending.DISPATCHED),
            correlation_id=correlation_id,
        )

    def _in_turn(self, waiting: list[str]) -> list[str]:
        """Return the batch: whoever waits longest for a turn first, else in the queue's order.

        So tickets that nobody can serve do not keep the others from theirs.
        """
        known = set(waiting)
        self._served_in = {each: self._served_in[each] for each in self._served_in.keys() & known}
        self._dispatching.forget_all_but(known)
        in_turn = sorted(waiting, key=lambda ticket_id: self._served_in.get(ticket_id, 0))
        return in_turn[: self._settings.worker_batch_limit]

    async def _beat_on(self) -> None:
        interval = self._settings.worker_heartbeat_ms / 1000
        while True:
            rest = self._beat_at + interval - self._clock()
            if rest <= 0:
                self._beat()
            else:
                await asyncio.sleep(rest)

    def _beat(self) -> None:
        self._beat_at = self._clock()
        self._log.info(
            "worker.heartbeat",
            cycle=self._tally.cycles,
            batch_limit=self._settings.worker_batch_limit,
            **self._seen,
        )
