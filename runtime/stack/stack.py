"""The stack as a whole: starts what the layout names, keeps it running, stops it in reverse."""

import asyncio
import os
from collections.abc import Collection, Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit

from policy.rules.bundle import load_bundle
from runtime.client import ClientEnvironment, StackError
from runtime.postgres import bootstrap
from runtime.settings import load_settings
from runtime.stack import processes
from runtime.stack.files import private_folder, remove
from runtime.stack.layout import ALL_PARTS, Layout, LayoutBuilder, PartName
from runtime.stack.part import Part, Report, SupervisedPart
from runtime.stack.ports import PortChooser, Ports
from runtime.stack.state import (
    PartState,
    StackLock,
    StackState,
    ensure_secrets,
    read_state,
    remove_state,
    write_client,
    write_state,
)

_HEALTH_RETRIES = 150
_HEALTH_DELAY_SECONDS = 0.2
_STOP_SECONDS = 60.0


class EmbeddedStack:
    """Runs the parts on loopback and keeps them running; an async context manager.

    `environ` may name external servers (they replace the part) and any other setting.
    """

    def __init__(
        self,
        data_dir: Path,
        *,
        parts: Collection[PartName] = ALL_PARTS,
        ports: Ports | None = None,
        environ: Mapping[str, str] | None = None,
        report: Report = lambda _: None,
    ) -> None:
        self._data_dir = data_dir.absolute()
        self._parts = parts
        self._ports = ports or Ports()
        self._environ = environ or {}
        self._report = report
        self._lock = StackLock(self._data_dir)
        self._chooser = PortChooser()
        self._layout: Layout | None = None
        self._running: list[list[SupervisedPart]] = []
        self._started_at = datetime.now(UTC)
        self._healthy = False

    async def __aenter__(self) -> Self:
        """Start every part and return when the whole stack is healthy."""
        await self.start()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Stop every part."""
        await self.stop()

    @property
    def env(self) -> Mapping[str, str]:
        """The DISPATCH_ variables of the API, the worker and every client. Holds secrets."""
        return self._started().env

    @property
    def urls(self) -> Mapping[str, str]:
        """What to open in a browser, by name."""
        return self._started().urls

    @property
    def owner_database_url(self) -> str | None:
        """The login that owns the schema, for migrations; it may create databases."""
        layout = self._started()
        if layout.postgres is not None:
            return layout.postgres.owner_url
        return layout.env.get("DISPATCH_DATABASE_URL")

    def pid(self, name: PartName) -> int:
        """Return the process id of a running part."""
        for supervised in self._supervised():
            if supervised.part.name == name and supervised.record is not None:
                return supervised.record.pid
        raise LookupError(name)

    async def start(self) -> None:
        """Start every part. Raises `StackError`, with nothing left running, if one fails."""
        private_folder(self._data_dir)
        self._lock.acquire()
        try:
            await self._start()
        except BaseException:
            await self.stop()
            raise

    async def stop(self) -> None:
        """Stop every part, the last started first. Harmless if nothing runs."""
        while self._running:
            step = self._running[-1]
            await asyncio.gather(*(supervised.stop() for supervised in step))
            self._running.pop()
        self._healthy = False
        self._chooser.release()
        remove_state(self._data_dir)
        self._lock.release()

    async def _start(self) -> None:
        await asyncio.to_thread(stop_strays, self._data_dir, self._report)
        secrets = ensure_secrets(self._data_dir)
        builder = LayoutBuilder(self._data_dir, secrets, self._environ, self._chooser, self._report)
        self._layout = builder.build(self._parts, self._ports)
        await self._start_step(self._layout.servers)
        write_client(
            self._data_dir,
            ClientEnvironment(env=self.env, owner_database_url=self.owner_database_url),
        )
        await self._prepare_database(self._layout)
        await self._start_step(self._layout.applications)
        if PartName.API in self._parts and PartName.WORKER in self._parts:
            await bootstrap.check_ready(
                self._layout.env["DISPATCH_API_URL"],
                retries=_HEALTH_RETRIES,
                delay_seconds=_HEALTH_DELAY_SECONDS,
            )
        self._healthy = True
        self._write_state()

    async def _start_step(self, parts: Iterable[Part]) -> None:
        step = [SupervisedPart(part, self._report, self._write_state) for part in parts]
        self._running.append(step)
        try:
            async with asyncio.TaskGroup() as group:
                for supervised in step:
                    group.create_task(supervised.start())
        except ExceptionGroup as failures:
            raise failures.exceptions[0] from None

    async def _prepare_database(self, layout: Layout) -> None:
        if PartName.POSTGRES not in self._parts or self.owner_database_url is None:
            return
        if layout.postgres is not None:
            await layout.postgres.ensure_logins()
        settings, _ = load_settings(layout.env)
        await bootstrap.apply(
            self.owner_database_url,
            load_bundle().pairs,
            account_id=settings.demo_account_id,
            site_id=settings.demo_site_id,
            tech_id=settings.demo_tech_id,
        )
        if layout.postgres is not None:
            await layout.postgres.grant_application_roles()

    def _started(self) -> Layout:
        if self._layout is None:
            raise StackError("the stack has not been started")
        return self._layout

    def _supervised(self) -> list[SupervisedPart]:
        return [supervised for step in self._running for supervised in step]

    def _write_state(self) -> None:
        layout = self._started()
        supervisor = processes.record(os.getpid())
        if supervisor is None:
            raise StackError("this process cannot see itself in the process table")
        external = (
            PartState(name=name, url=without_password(url)) for name, url in layout.external.items()
        )
        own = (_part_state(supervised) for supervised in self._supervised())
        write_state(
            self._data_dir,
            StackState(
                supervisor=supervisor,
                started_at=self._started_at,
                healthy=self._healthy,
                urls=layout.urls,
                parts=(*external, *own),
            ),
        )


def stop_stack(data_dir: Path, report: Report) -> bool:
    """Stop the supervisor of a data folder, or what a killed one left; return if there was any.

    Raises `StackError` if the supervisor does not obey.
    """
    data_dir = data_dir.absolute()
    known = read_state(data_dir)
    if StackLock(data_dir).is_held():
        if known is None or not processes.request_stop(known.supervisor, _STOP_SECONDS):
            raise StackError(f"The stack on {data_dir} is starting or stopping; try again.")
        report("stack stopped")
        return True
    return stop_strays(data_dir, report)


def stop_strays(data_dir: Path, report: Report) -> bool:
    """Stop what a supervisor that was killed left running; return if there was any."""
    known = read_state(data_dir)
    if known is None:
        return False
    left = [part.process for part in reversed(known.parts) if part.process is not None]
    stopped = processes.stop(left)
    for part in known.parts:
        remove(part.leftovers)
    remove_state(data_dir)
    for process in stopped:
        report(f"stopped {Path(process.command[0]).name} (pid {process.pid}) of a killed stack")
    return bool(stopped)


def without_password(url: str) -> str:
    """Return a server's address without the login in it."""
    parts = urlsplit(url)
    return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()


def _part_state(supervised: SupervisedPart) -> PartState:
    return PartState(
        name=supervised.part.name,
        url=supervised.part.url,
        log_path=supervised.part.log_path,
        process=supervised.record,
        restarts=supervised.restarts,
        leftovers=supervised.part.leftovers,
    )
