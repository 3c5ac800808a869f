"""The relay: iterations over the outbox, one run of them or as long as the process lives."""

import asyncio
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

import structlog

from policy.delivery.retry import OutboxStatus
from policy.model import Frozen
from relay.alarm import Alarm
from relay.carriers import Carriers
from relay.delivery import DeliveryError, Receipt
from relay.rows import Outbox, Row
from runtime.postgres.pool import DATABASE_FAULTS
from runtime.settings import Settings

SMS_DISABLED = "sms_disabled"
LANES = 8
log = structlog.get_logger()


class Result(Frozen):
    """What an iteration did, or the iterations of a run together (contract 14.2)."""

    processed: int = 0
    sent: int = 0
    failed: int = 0
    dead_lettered: int = 0
    skipped: int = 0
    reason: str | None = None

    def plus(self, other: "Result") -> "Result":
        """Return the sum."""
        return Result(
            processed=self.processed + other.processed,
            sent=self.sent + other.sent,
            failed=self.failed + other.failed,
            dead_lettered=self.dead_lettered + other.dead_lettered,
            skipped=self.skipped + other.skipped,
            reason=other.reason or self.reason,
        )

    def answer(self) -> dict[str, Any]:
        """Return the result object of the contract; a reason only where there is one."""
        fields: Mapping[str, Any] = {
            "processed": self.processed,
            "sent": self.sent,
            "failed": self.failed,
            "deadLettered": self.dead_lettered,
            "skipped": self.skipped,
        }
        return {**fields, **({} if self.reason is None else {"reason": self.reason})}


def sum_of(results: Iterable[Result]) -> Result:
    """Return the sum of all."""
    total = Result()
    for result in results:
        total = total.plus(result)
    return total


class Relay:
    """Delivers what is due. Several relays may run at once; each message is in one hand only."""

    def __init__(
        self, settings: Settings, outbox: Outbox, carriers: Carriers, alarm: Alarm
    ) -> None:
        self._settings = settings
        self._outbox = outbox
        self._carriers = carriers
        self._alarm = alarm
        self._stopping = asyncio.Event()

    def stop(self) -> None:
        """Take nothing new; what is in hand is finished."""
        self._stopping.set()

    async def iteration(self) -> Result:
        """Deliver what is due now, oldest first, up to the batch limit."""
        if not self._settings.sms_enabled:
            return Result(skipped=1, reason=SMS_DISABLED)
        due_at = await self._outbox.now()
        first = await self._outbox.claim(due_at)
        if first is None:
            return Result()
        left = asyncio.Semaphore(self._settings.outbox_batch_limit - 1)
        lanes = min(LANES, self._settings.outbox_batch_limit, self._settings.db_pool_max)
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(self._lane(due_at, left, first))]
            tasks += [group.create_task(self._lane(due_at, left, None)) for _ in range(1, lanes)]
        return sum_of(task.result() for task in tasks)

    async def run(self, iterations: int) -> Result:
        """Return the sum of so many iterations, with the poll's pause between them."""
        total = Result()
        for number in range(iterations):
            if number:
                await self._pause()
            if self._stopping.is_set():
                break
            done = await self.iteration()
            total = total.plus(done)
            if done.reason is not None:  # it will not change in this run
                break
        return total

    async def serve(self) -> Result:
        """Deliver until told to stop. An outage of the database is waited out."""
        total = Result()
        while not self._stopping.is_set():
            try:
                done = await self.iteration()
            except* DATABASE_FAULTS as faults:
                log.warning("outbox.database_unavailable", reason=str(faults.exceptions[0]))
                done = Result()
            total = total.plus(done)
            if done.processed:
                log.info("outbox.iteration", **done.answer())
            if done.processed < self._settings.outbox_batch_limit:
                await self._pause()
        return total

    async def _pause(self) -> None:
        woken = asyncio.create_task(self._alarm.wait(self._settings.outbox_poll_ms / 1000))
        stopped = asyncio.create_task(self._stopping.wait())
        await asyncio.wait({woken, stopped}, return_when=asyncio.FIRST_COMPLETED)
        for task in (woken, stopped):
            task.cancel()

    async def _lane(self, due_at: datetime, left: asyncio.Semaphore, row: Row | None) -> Result:
        """Deliver one message after the other while the batch has room."""
        total = Result()
        while True:
            if row is None:
                if left.locked() or self._stopping.is_set():
                    return total
                await left.acquire()
                row = await self._outbox.claim(due_at)
                if row is None:
                    return total
            total = total.plus(await self._deliver(row))
            row = None

    async def _deliver(self, row: Row) -> Result:
        outcome = await self._attempt(row)
        if isinstance(outcome, Receipt):
            status = await self._outbox.record_sent(row, outcome)
        else:
            status = await self._outbox.record_failure(row, outcome)
        log.info(
            "outbox.attempt",
            outbox_id=str(row.id),
            event_type=row.event_type,
            attempt=row.attempt_count + 1,
            status=status,
            error=None if isinstance(outcome, Receipt) else outcome,
        )
        return _counted(status)

    async def _attempt(self, row: Row) -> Receipt | str:
        """Return the receipt, or why there is none."""
        try:
            attempt = await self._carriers.prepare(row)
        except DeliveryError as refusal:
            return str(refusal)
        try:
            async with asyncio.timeout(self._settings.outbox_timeout_ms / 1000):
                return await attempt()
        except TimeoutError:
            return f"no answer within {self._settings.outbox_timeout_ms} ms"
        except DeliveryError as refusal:
            return str(refusal)
        except Exception as defect:  # noqa: BLE001  an adapter is not ours: it may raise anything
            return f"{type(defect).__name__}: {defect}"


def _counted(status: OutboxStatus | None) -> Result:
    match status:
        case OutboxStatus.SENT:
            return Result(processed=1, sent=1)
        case OutboxStatus.PENDING:
            return Result(processed=1, failed=1)
        case OutboxStatus.DEAD_LETTER:
            return Result(processed=1, dead_lettered=1)
        case None:
            return Result(processed=1, skipped=1)
