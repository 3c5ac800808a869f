"""The processes of the other engines, on loopback, and the loops that drive them over HTTP."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack
from pathlib import Path

import httpx
import orjson

from bench.floor.rows import commands
from bench.lifecycle import Place, UnexpectedAnswerError
from bench.load import Lanes, Ticket
from bench.machine import Machine
from bench.rounds import Kind
from bench.wire import Connection
from runtime.stack import StackError
from runtime.stack.part import Part
from runtime.stack.ports import LOOPBACK, PortChooser

PEERS_DIR = Path(".venv/peers").absolute()
RESTATE_SERVERS = "node_modules/@restatedev/restate-server-*/bin/restate-server"
RESTATE_PARTITIONS = 4  # 24 are the default, and slower on a small machine
PROBE_TIMEOUT_SECONDS = 5.0
JSON = {"Content-Type": "application/json"}
SILENT = {"DO_NOT_TRACK": "1", "RESTATE_DISABLE_TELEMETRY": "true"}


class Peers:
    """The other engines on free ports."""

    def __init__(self) -> None:
        ports = PortChooser()
        self._dbos, self._service = ports.choose(), ports.choose()
        self._ingress, self._admin, self._node = (ports.choose() for _ in range(3))

    def parts(self, machine: Machine) -> list[Part]:
        """Return the processes, in the order they are to be started."""
        return [self._dbos_part(machine), self._service_part(machine), self._server_part(machine)]

    def loops(self, place: Place) -> dict[Kind, Lanes]:
        """Return the loops over the peers."""
        dbos, ingress = f"http://{LOOPBACK}:{self._dbos}", f"http://{LOOPBACK}:{self._ingress}"
        return {
            Kind.DBOS: _lanes(dbos, "/ticket", place),
            Kind.DBOS_COMMAND: _lanes(dbos, "/command", place),
            Kind.RESTATE: _lanes(ingress, "/Ticket/{ticket_id}/execute", place),
        }

    def _dbos_part(self, machine: Machine) -> Part:
        server, _, _ = machine.owner_url.rpartition("/")
        env = {"BENCH_DBOS_DATABASE_URL": f"{server}/bench_dbos"}
        return _python_part("dbos", "bench.peers.peer_dbos", self._dbos, machine, env)

    def _service_part(self, machine: Machine) -> Part:
        return _python_part(
            "restate service", "bench.peers.peer_restate", self._service, machine, {}
        )

    def _server_part(self, machine: Machine) -> Part:
        admin = f"{LOOPBACK}:{self._admin}"
        deployment = {"uri": f"http://{LOOPBACK}:{self._service}"}

        async def ready() -> bool:
            """Make the service known; that needs the server as well as the service."""
            try:
                async with httpx.AsyncClient(timeout=PROBE_TIMEOUT_SECONDS) as client:
                    url = f"http://{admin}/deployments"
                    answer = await client.post(url, json=deployment)
            except httpx.HTTPError:
                return False
            return answer.is_success and await _listens(self._ingress)

        settings = {
            "LISTEN_MODE": "tcp",
            "NODE_NAME": "bench",
            "BIND_ADDRESS": f"{LOOPBACK}:{self._node}",
            "INGRESS__BIND_ADDRESS": f"{LOOPBACK}:{self._ingress}",
            "ADMIN__BIND_ADDRESS": admin,
            "DEFAULT_NUM_PARTITIONS": str(RESTATE_PARTITIONS),
            "BASE_DIR": str(machine.data_dir / "restate"),
        }
        named = {f"RESTATE_{name}": text for name, text in settings.items()}
        return Part(
            name="restate",
            command=(str(_restate_server()),),
            log_path=machine.data_dir / "logs" / "restate.log",
            ready=ready,
            env={**os.environ, **SILENT, **named},
        )


def _python_part(
    name: str, module: str, port: int, machine: Machine, env: Mapping[str, str]
) -> Part:
    shared = {
        "BENCH_DATABASE_URL": machine.database_url,
        "BENCH_POOL_SIZE": str(machine.settings.db_pool_max),
        "BENCH_HOST": LOOPBACK,
        "BENCH_PORT": str(port),
    }
    return Part(
        name=name,
        command=(str(PEERS_DIR / "bin/python"), "-m", module),
        log_path=machine.data_dir / "logs" / f"{module}.log",
        ready=_listening(port),
        env={**os.environ, **shared, **env},
        stop_signal=signal.SIGKILL,  # on SIGTERM the SDK of Restate waits for its server
    )


def _restate_server() -> Path:
    found = next(PEERS_DIR.glob(RESTATE_SERVERS), None)
    if found is None:
        raise StackError("Restate has no server for this platform")
    return found


def _listening(port: int) -> Callable[[], Awaitable[bool]]:
    async def ready() -> bool:
        return await _listens(port)

    return ready


async def _listens(port: int) -> bool:
    try:
        _, writer = await asyncio.open_connection(LOOPBACK, port)
    except OSError:
        return False
    writer.close()
    return True


def _lanes(url: str, path: str, place: Place) -> Lanes:
    async def lanes(stack: AsyncExitStack, level: int) -> list[Ticket]:
        return [_ticket(await Connection.open(url, stack), path, place) for _ in range(level)]

    return lanes


def _ticket(connection: Connection, path: str, place: Place) -> Ticket:
    async def ticket() -> AsyncIterator[None]:
        for command in commands(place.account_id, place.site_id):
            target = path.format(**command)
            reply = await connection.post(target, JSON, orjson.dumps(command))
            if reply.status != httpx.codes.OK:
                raise UnexpectedAnswerError(f"{target}: {reply.status} {reply.body.decode()}")
            yield

    return ticket
