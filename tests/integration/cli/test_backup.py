"""A backup is whole or absent, and comes back, by the logins that deploy/README.md documents."""

import asyncio
import sys
from collections.abc import Callable, Coroutine, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import asyncpg
import orjson
import pytest

from cli import main as cli
from policy.rules.bundle import load_bundle
from records.audit.anchoring import AT_ONCE, Anchoring
from records.audit.signing_keys import SigningKeys
from runtime.key_ring import new_key
from runtime.postgres.migrate import migrate
from runtime.postgres.pool import create_pool
from tests.integration.command.command_runner import build_runner
from tests.integration.ops.test_deploy import statements
from tests.integration.servers.postgres_server import FASTER_THAN_SAFE, Cluster, start_cluster

KEY = new_key("one")
SEQUENCES = "REVOKE SELECT ON ALL SEQUENCES IN SCHEMA public, proof FROM dispatch_auditor"
DATABASE = "dispatch"


class Ended(NamedTuple):
    """How a command ended, and what it printed."""

    code: object
    out: str
    err: str


Dispatch = Callable[..., Coroutine[None, None, Ended]]


@dataclass(frozen=True)
class Source:
    """An installation with the documented logins and a few checkpoints."""

    cluster: Cluster

    def url(self, login: str) -> str:
        """Return the address for a login."""
        return self.cluster.database_url(DATABASE, login)

    async def as_owner(self, statement: str) -> None:
        """Run a statement as the owner of the schema."""
        conn = await asyncpg.connect(self.url("dispatch_owner"))
        await conn.execute(statement)
        await conn.close()


def names_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


async def fill(source: Source) -> None:
    """Walk a ticket, and anchor its rows twice."""
    pool = await create_pool(source.url("dispatch_worker"), max_size=4)
    owner = await asyncpg.connect(source.url("postgres"))
    runner = await build_runner(pool, owner)
    anchoring = Anchoring(pool, SigningKeys.read([KEY]), None)
    ticket = await runner.scheduled()
    await anchoring.anchor(*AT_ONCE)
    await runner.add_evidence(ticket)
    await anchoring.anchor(*AT_ONCE)
    await owner.close()
    await pool.close()


async def set_up(source: Source) -> None:
    """Make the documented logins, the schema and some records."""
    await source.cluster.execute(*FASTER_THAN_SAFE, *statements(0))
    await migrate(source.url("dispatch_owner"), load_bundle().pairs)
    for statement in statements(1):
        await source.as_owner(statement)
    await fill(source)


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Source]:
    cluster = start_cluster(tmp_path_factory.mktemp("source"))
    found = Source(cluster)
    asyncio.run(set_up(found))
    yield found
    cluster.stop()


@pytest.fixture(scope="module")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """Run a server on which nothing but the documented logins was ever made."""
    cluster = start_cluster(tmp_path_factory.mktemp("empty"))
    asyncio.run(cluster.execute(*FASTER_THAN_SAFE, *statements(0)))
    yield cluster
    cluster.stop()


@pytest.fixture
def dispatch(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Dispatch:
    monkeypatch.setenv("DISPATCH_SIGNING_KEYS", KEY)

    async def run(url: str, *words: str) -> Ended:
        monkeypatch.setenv("DISPATCH_DATABASE_URL", url)
        monkeypatch.setattr(sys, "argv", ["dispatch", *words])

        def called() -> object:
            with pytest.raises(SystemExit) as ending:
                cli.main()
            return ending.value.code

        code = await asyncio.to_thread(called)
        return Ended(code, *capsys.readouterr())

    return run


@pytest.mark.parametrize("login", ["dispatch_owner", "dispatch_auditor"])
async def test_a_backup_by_either_documented_login_restores_into_an_empty_server_and_is_whole(
    source: Source, empty: Cluster, dispatch: Dispatch, tmp_path: Path, login: str
) -> None:
    file = tmp_path / "whole.dump"
    made = await dispatch(source.url(login), "backup", str(file), "--json")
    assert made.code == 0, made.err
    assert "public.tickets" in made.err
    assert file.stat().st_mode & 0o777 == 0o600
    contents: dict[str, Any] = orjson.loads(made.out)
    assert contents["checkpoints"]["count"] == 2
    assert set(contents["not_included"]) == {"engine", "object_store", "secrets"}

    name = f"restored_by_{login}"
    await empty.execute(f"CREATE DATABASE {name} OWNER dispatch_owner")
    target = empty.database_url(name, "dispatch_owner")
    back = await dispatch(target, "restore", str(file), "--json")
    assert back.code == 0, back.err
    restored = orjson.loads(back.out)
    assert restored["checkpoints"] == contents["checkpoints"]
    assert restored["tickets"] == contents["tickets"] == 1

    assert (await dispatch(target, "migrate")).out == "nothing to apply\n"
    verified = await dispatch(target, "verify", "--allow-unanchored")
    assert verified.out.endswith("whole\n")
    again = await dispatch(target, "restore", str(file))
    assert (again.code, "not empty" in again.err) == (1, True)
    pool = await create_pool(target, max_size=1)  # the application's role is there to enter
    async with pool.acquire() as conn:
        assert await conn.fetchval("SELECT count(*) FROM tickets") == 0  # of no tenant
    await pool.close()


async def test_an_auditor_of_before_is_given_the_sequences_by_a_migration(
    source: Source, dispatch: Dispatch, tmp_path: Path
) -> None:
    await source.as_owner(SEQUENCES)
    refused = await dispatch(source.url("dispatch_auditor"), "backup", str(tmp_path / "none.dump"))
    assert refused.code == 1
    assert "GRANT SELECT ON ALL SEQUENCES IN SCHEMA proof TO dispatch_auditor" in refused.err
    assert names_in(tmp_path) == []

    migration = Path(__file__).parents[3] / "migrations" / "0028_whole_backups.sql"
    await source.as_owner(migration.read_text("utf-8"))
    url = source.url("dispatch_auditor")
    assert (await dispatch(url, "backup", str(tmp_path / "some.dump"))).code == 0


async def test_a_login_that_sees_one_tenant_makes_no_backup(
    source: Source, dispatch: Dispatch, tmp_path: Path
) -> None:
    refused = await dispatch(source.url("dispatch_worker"), "backup", str(tmp_path / "none.dump"))
    assert refused.code == 1
    assert "does not read all" in refused.err
    assert "GRANT" not in refused.err  # it would not be enough, and no worker shall have it
    assert names_in(tmp_path) == []


async def test_a_backup_replaces_no_other_and_what_breaks_off_leaves_no_file(
    source: Source, dispatch: Dispatch, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = tmp_path / "kept.dump"
    kept.write_bytes(b"kept")
    again = await dispatch(source.url("dispatch_owner"), "backup", str(kept))
    assert (again.code, kept.read_bytes()) == (1, b"kept")

    programs = tmp_path / "bin"
    programs.mkdir()
    broken = '#!/bin/sh\n[ "$1" = --version ] && echo "pg_dump (PostgreSQL) 99.0" && exit\n'
    for name in ("pg_dump", "pg_restore"):
        (programs / name).write_text(f"{broken}echo 'pg_dump: error: disk full' >&2; exit 1\n")
        (programs / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}:/usr/bin:/bin")
    half = await dispatch(source.url("dispatch_owner"), "backup", str(tmp_path / "half.dump"))
    assert (half.code, "disk full" in half.err) == (1, True)
    assert names_in(tmp_path) == ["bin", "kept.dump"]


async def test_a_file_cut_short_changes_nothing(
    source: Source, dispatch: Dispatch, tmp_path: Path
) -> None:
    file = tmp_path / "whole.dump"
    await dispatch(source.url("dispatch_owner"), "backup", str(file))
    cut = tmp_path / "cut.dump"
    cut.write_bytes(file.read_bytes()[: file.stat().st_size * 2 // 3])
    await source.cluster.execute("CREATE DATABASE spare OWNER dispatch_owner")
    spare = source.cluster.database_url("spare", "dispatch_owner")
    for path in (cut, tmp_path / "absent.dump", tmp_path):
        assert (await dispatch(spare, "restore", str(path))).code == 1
    conn = await asyncpg.connect(spare)
    assert await conn.fetchval("SELECT to_regclass('tickets')") is None
    await conn.close()


async def test_without_client_programs_the_command_says_what_to_install(
    source: Source, dispatch: Dispatch, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("runtime.postgres.programs._folders", list)
    refused = await dispatch(source.url("dispatch_owner"), "backup", str(tmp_path / "none.dump"))
    assert refused.code == 1
    assert "postgresql-client-" in refused.err
