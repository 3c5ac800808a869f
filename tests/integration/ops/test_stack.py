"""The embedded stack heals what dies, keeps its data, and leaves nothing behind."""

import asyncio
import os
import signal
import socket
import stat
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from urllib.parse import urlsplit

import asyncpg
import pytest
import pytest_asyncio
from temporalio.client import Client

from runtime.stack import (
    SERVERS,
    EmbeddedStack,
    PartName,
    Ports,
    StackError,
    read_state,
    stack_status,
    stop_stack,
)
from runtime.stack.processes import ProcessRecord, is_running

pytestmark = pytest.mark.asyncio(loop_scope="module")

DEADLINE_SECONDS = 45
MEMORY_LIMIT_BYTES = 1_500_000_000
SUPERVISOR = """
import asyncio, sys
from pathlib import Path
from runtime.stack import EmbeddedStack, PartName

async def main():
    async with EmbeddedStack(Path(sys.argv[1]), parts={PartName.POSTGRES, PartName.TEMPORAL}):
        print("healthy", flush=True)
        await asyncio.Event().wait()

asyncio.run(main())
"""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def data_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("stack")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def stack(data_dir: Path) -> AsyncIterator[EmbeddedStack]:
    async with EmbeddedStack(data_dir) as running:
        yield running


async def eventually(fact: Callable[[], Awaitable[bool]]) -> None:
    deadline = time.monotonic() + DEADLINE_SECONDS
    while not await fact():
        assert time.monotonic() < deadline, f"{fact} did not come true"
        await asyncio.sleep(0.05)


async def answers(stack: EmbeddedStack, part: PartName) -> bool:
    try:
        match part:
            case PartName.POSTGRES:
                connection = await asyncpg.connect(stack.env["DISPATCH_DATABASE_URL"], timeout=5)
                await connection.close()
            case PartName.TEMPORAL:
                client = await Client.connect(stack.env["DISPATCH_TEMPORAL_ADDRESS"])
                await client.count_workflows()
            case PartName.S3 | PartName.API:
                variable = "DISPATCH_S3_ENDPOINT_URL" if part is PartName.S3 else "DISPATCH_API_URL"
                address = stack.env[variable].removeprefix("http://").split(":")
                _, writer = await asyncio.open_connection(address[0], int(address[1]))
                writer.close()
            case PartName.WORKER:
                return True
    except (OSError, RuntimeError, asyncpg.PostgresError):
        return False
    return True


async def test_all_parts_run_and_use_little_memory(stack: EmbeddedStack, data_dir: Path) -> None:
    status = stack_status(data_dir)

    assert status.running
    assert {part.name for part in status.parts} == {"supervisor", *PartName}
    assert {part.state for part in status.parts} == {"running"}
    assert status.urls == stack.urls
    assert 0 < status.memory_bytes < MEMORY_LIMIT_BYTES


@pytest.mark.parametrize("part", list(PartName))
async def test_a_killed_part_comes_back_on_its_port(
    stack: EmbeddedStack, data_dir: Path, part: PartName
) -> None:
    killed = stack.pid(part)
    os.kill(killed, signal.SIGKILL)

    async def is_back() -> bool:
        return stack.pid(part) != killed and await answers(stack, part)

    await eventually(is_back)
    restarted = next(each for each in stack_status(data_dir).parts if each.name == part)
    assert restarted.restarts == 1
    assert restarted.pid == stack.pid(part)


async def test_the_application_login_owns_nothing_and_is_no_superuser(
    stack: EmbeddedStack,
) -> None:
    connection = await asyncpg.connect(stack.env["DISPATCH_DATABASE_URL"])
    try:
        row = await connection.fetchrow(
            "SELECT rolsuper, rolbypassrls, rolcreaterole, rolcreatedb, rolinherit,"
            " pg_has_role('dispatch_app', 'SET') FROM pg_roles WHERE rolname = current_user"
        )
    finally:
        await connection.close()
    assert row is not None
    assert tuple(row) == (False, False, False, False, False, True)


def environment_of(pid: int | None) -> dict[str, str]:
    text = Path(f"/proc/{pid}/environ").read_text("utf-8")
    return dict(each.split("=", 1) for each in text.split("\0") if "=" in each)


async def test_the_gateway_has_its_own_login_and_no_key_of_the_audit_log(
    stack: EmbeddedStack,
) -> None:
    api = await asyncio.to_thread(environment_of, stack.pid(PartName.API))
    assert "DISPATCH_DOSSIER_KEYS" in api
    assert "DISPATCH_SIGNING_KEYS" not in api
    connection = await asyncpg.connect(api["DISPATCH_DATABASE_URL"])
    try:
        await connection.execute("SET ROLE dispatch_gateway")
        for statement in (
            "SET ROLE dispatch_app",
            "SELECT proof.take(1, interval '0', 1)",
            "SELECT lo_create(0)",
        ):
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await connection.execute(statement)
    finally:
        await connection.close()


async def test_a_second_stack_on_the_same_data_is_refused(
    stack: EmbeddedStack, data_dir: Path
) -> None:
    assert stack.urls
    with pytest.raises(StackError, match="already running"):
        await EmbeddedStack(data_dir, parts=SERVERS).start()
    assert stack_status(data_dir).running


async def test_named_servers_are_used_instead_of_embedded_ones(
    stack: EmbeddedStack, tmp_path: Path
) -> None:
    owner_url = stack.owner_database_url
    assert owner_url is not None
    environ = {**stack.env, "DISPATCH_DATABASE_URL": owner_url}
    async with EmbeddedStack(tmp_path, parts=SERVERS, environ=environ) as second:
        status = stack_status(tmp_path)
        assert {part.name for part in status.parts} == {"supervisor", *SERVERS}
        assert {part.state for part in status.parts[1:]} == {"external"}
        assert second.env["DISPATCH_S3_ENDPOINT_URL"] == stack.env["DISPATCH_S3_ENDPOINT_URL"]
        password = urlsplit(owner_url).password
        assert password
        assert password not in (tmp_path / "stack.json").read_text()


async def test_data_and_secrets_survive_and_nothing_is_left_running(tmp_path: Path) -> None:
    parts = {PartName.POSTGRES, PartName.S3}
    async with EmbeddedStack(tmp_path, parts=parts) as first:
        await _execute(first, "CREATE TABLE kept (id int)")
        state = read_state(tmp_path)
        assert state is not None
    processes = [part.process for part in state.parts if part.process]
    assert len(processes) == len(parts)
    assert not any(is_running(process) for process in processes)
    assert not any(path.exists() for part in state.parts for path in part.leftovers)
    assert read_state(tmp_path) is None
    for name in ("secrets.json", "s3-identities.json"):
        assert stat.S_IMODE((tmp_path / name).stat().st_mode) == stat.S_IRUSR | stat.S_IWUSR

    async with EmbeddedStack(tmp_path, parts=parts) as second:
        await _execute(second, "INSERT INTO kept VALUES (1)")


async def test_a_taken_port_is_replaced_with_a_message(tmp_path: Path) -> None:
    said: list[str] = []
    with socket.create_server(("127.0.0.1", 0)) as other:
        taken = other.getsockname()[1]
        stack = EmbeddedStack(
            tmp_path, parts={PartName.POSTGRES}, ports=Ports(postgres=taken), report=said.append
        )
        async with stack:
            assert f":{taken}/" not in stack.env["DISPATCH_DATABASE_URL"]
    assert said[0].startswith(f"port {taken} is taken: postgres uses ")


async def test_a_part_that_cannot_start_is_named_with_its_log(tmp_path: Path) -> None:
    (tmp_path / "temporal" / "temporal.db").mkdir(parents=True)
    with pytest.raises(StackError) as failure:
        await EmbeddedStack(tmp_path, parts={PartName.TEMPORAL}).start()
    lines = str(failure.value).splitlines()
    assert lines[0].startswith("temporal ended with exit code 1. Log: ")
    assert "database" in " ".join(lines[1:])
    assert read_state(tmp_path) is None


async def test_what_a_killed_supervisor_left_is_stopped_by_the_next_one(tmp_path: Path) -> None:
    processes = await _orphans(tmp_path)
    async with EmbeddedStack(tmp_path, parts={PartName.POSTGRES}) as stack:
        assert not any(is_running(process) for process in processes)
        assert await answers(stack, PartName.POSTGRES)


async def test_what_a_killed_supervisor_left_is_stopped_by_down(tmp_path: Path) -> None:
    processes = await _orphans(tmp_path)
    assert await asyncio.to_thread(stop_stack, tmp_path, lambda _: None)
    assert not any(is_running(process) for process in processes)
    assert not await asyncio.to_thread(stop_stack, tmp_path, lambda _: None)


async def _orphans(data_dir: Path) -> list[ProcessRecord]:
    supervisor = await asyncio.create_subprocess_exec(
        sys.executable, "-c", SUPERVISOR, str(data_dir), stdout=asyncio.subprocess.PIPE
    )
    assert supervisor.stdout is not None
    assert await supervisor.stdout.readline() == b"healthy\n"
    supervisor.kill()
    await supervisor.wait()
    state = read_state(data_dir)
    assert state is not None
    processes = [part.process for part in state.parts if part.process]
    assert len(processes) == 2
    assert all(is_running(process) for process in processes)
    return processes


async def _execute(stack: EmbeddedStack, statement: str) -> None:
    url = stack.owner_database_url
    assert url is not None
    connection = await asyncpg.connect(url)
    try:
        await connection.execute(statement)
    finally:
        await connection.close()
