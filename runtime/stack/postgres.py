"""The Postgres server: initialised on first use, loopback only, passwords always."""

import os
import pwd
import shutil
import signal
import stat
from pathlib import Path

import asyncpg

from runtime.client import StackError
from runtime.postgres.pool import APPLICATION_ROLE, GATEWAY_ROLE, Connection
from runtime.stack.files import private_folder, write_private
from runtime.stack.part import Account, Part, spawn, with_log
from runtime.stack.ports import LOOPBACK
from runtime.stack.servers import postgres_programs
from runtime.stack.state import StackSecrets

DATABASE = "dispatch"
OWNER_ROLE = "dispatch_owner"
LOGIN_ROLE = "dispatch"
GATEWAY_LOGIN = "dispatch_api"
_ADMIN_ROLE = "postgres"
_ROOT_BECOMES = "nobody"  # Postgres refuses to run as root
_INITDB_OPTIONS = (
    f"--username={_ADMIN_ROLE}",
    "--auth=scram-sha-256",
    "--encoding=UTF8",
    "--locale=C",
    "--locale-provider=builtin",
    "--builtin-locale=C.UTF-8",
)
_PROBE_TIMEOUT_SECONDS = 5.0
_CREATE_ROLE = "SELECT format('CREATE ROLE %I LOGIN %s PASSWORD %L', $1::text, $2::text, $3::text)"
# What lies there belongs to no tenant, and no row-level security sees it.
NO_LARGE_OBJECTS = (
    "REVOKE EXECUTE ON FUNCTION lo_creat, lo_create, lo_from_bytea, lo_put, lo_open, lowrite,"
    " lo_import(text), lo_import(text, oid), lo_export, lo_unlink FROM PUBLIC"
)
_HAS_ROLE = "SELECT true FROM pg_roles WHERE rolname = $1"
_HAS_DATABASE = "SELECT true FROM pg_database WHERE datname = $1"


class PostgresServer:
    """Describes the embedded Postgres of one data folder."""

    def __init__(self, data_dir: Path, log_path: Path, secrets: StackSecrets, port: int) -> None:
        self._folder = data_dir / "postgres"
        self._log_path = log_path
        self._secrets = secrets
        self._port = port
        self._account = _account()

    @property
    def owner_url(self) -> str:
        """The login that owns the schema: for migrations only."""
        return self._url(OWNER_ROLE, self._secrets.postgres_owner_password, DATABASE)

    @property
    def app_url(self) -> str:
        """The login of the worker and of tools: a member of the application's roles, no more."""
        return self._url(LOGIN_ROLE, self._secrets.postgres_app_password, DATABASE)

    @property
    def gateway_url(self) -> str:
        """The login of the API: a member of the gateway's role, no more."""
        return self._url(GATEWAY_LOGIN, self._secrets.postgres_gateway_password, DATABASE)

    def part(self) -> Part:
        """Return the server as a part."""
        settings = {
            "listen_addresses": LOOPBACK,
            "port": str(self._port),
            "unix_socket_directories": "",
            "max_connections": "100",
            "log_min_messages": "warning",
            # A young database makes a new file for each 16 MB of its log. Filling it with zeroes
            # first holds every commit up for a twentieth of a second.
            "wal_init_zero": "off",
        }
        return Part(
            name="postgres",
            command=(
                str(postgres_programs() / "postgres"),
                "-D",
                str(self._folder),
                *(word for name, value in settings.items() for word in ("-c", f"{name}={value}")),
            ),
            log_path=self._log_path,
            prepare=self._initialise,
            ready=self._answers,
            url=f"{LOOPBACK}:{self._port}",
            account=self._account,
            stop_signal=signal.SIGINT,  # "fast": open sessions are ended
        )

    async def _initialise(self) -> None:
        """Create the database cluster if this data folder has none."""
        self._prepare_folder()
        if (self._folder / "PG_VERSION").exists():
            return
        password_file = self._write_password_file()
        try:
            await self._run_initdb(password_file)
        except StackError:
            shutil.rmtree(self._folder)
            raise
        finally:
            password_file.unlink()

    async def ensure_logins(self) -> None:
        """Create the owner role with its database, and the application's logins."""
        connection = await asyncpg.connect(self._admin_url())
        try:
            await _ensure_role(
                connection, OWNER_ROLE, "CREATEROLE CREATEDB", self._secrets.postgres_owner_password
            )
            await _ensure_role(
                connection, LOGIN_ROLE, "NOINHERIT", self._secrets.postgres_app_password
            )
            await _ensure_role(
                connection, GATEWAY_LOGIN, "NOINHERIT", self._secrets.postgres_gateway_password
            )
            if not await connection.fetchval(_HAS_DATABASE, DATABASE):
                await connection.execute(f"CREATE DATABASE {DATABASE} OWNER {OWNER_ROLE}")
        finally:
            await connection.close()

    async def grant_application_roles(self) -> None:
        """Let the logins become the roles that the migrations made, and keep no large objects."""
        admin = self._url(_ADMIN_ROLE, self._secrets.postgres_admin_password, DATABASE)
        connection = await asyncpg.connect(admin)
        try:
            await connection.execute(
                f"GRANT {APPLICATION_ROLE}, {GATEWAY_ROLE} TO {LOGIN_ROLE}"
                " WITH INHERIT FALSE, SET TRUE;"
                f" GRANT {GATEWAY_ROLE} TO {GATEWAY_LOGIN} WITH INHERIT FALSE, SET TRUE;"
                f" {NO_LARGE_OBJECTS}"
            )
        finally:
            await connection.close()

    def _prepare_folder(self) -> None:
        private_folder(self._folder)
        if self._account is not None:
            os.chown(self._folder, self._account.uid, self._account.gid)
            for path in (self._folder, postgres_programs()):
                _open_way_to(path)

    def _write_password_file(self) -> Path:
        path = self._folder.with_name("postgres.password")
        owner = {"uid": self._account.uid, "gid": self._account.gid} if self._account else {}
        write_private(path, self._secrets.postgres_admin_password, **owner)
        return path

    async def _run_initdb(self, password_file: Path) -> None:
        process = await spawn(
            (
                str(postgres_programs() / "initdb"),
                f"--pgdata={self._folder}",
                f"--pwfile={password_file}",
                *_INITDB_OPTIONS,
            ),
            self._log_path,
            account=self._account,
        )
        if await process.wait() != 0:
            raise StackError(with_log("postgres could not be initialised", self._log_path))

    async def _answers(self) -> bool:
        try:
            connection = await asyncpg.connect(self._admin_url(), timeout=_PROBE_TIMEOUT_SECONDS)
        except asyncpg.InvalidPasswordError as wrong:
            raise StackError(
                f"postgres does not accept the password in {self._folder.parent}/secrets.json: "
                "restore that file, or delete the data folder"
            ) from wrong
        except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError):
            return False
        await connection.close()
        return True

    def _admin_url(self) -> str:
        return self._url(_ADMIN_ROLE, self._secrets.postgres_admin_password, "postgres")

    def _url(self, role: str, password: str, database: str) -> str:
        return f"postgresql://{role}:{password}@{LOOPBACK}:{self._port}/{database}"


async def _ensure_role(connection: Connection, role: str, options: str, password: str) -> None:
    if not await connection.fetchval(_HAS_ROLE, role):
        await connection.execute(await connection.fetchval(_CREATE_ROLE, role, options, password))


def _account() -> Account | None:
    if os.geteuid() != 0:
        return None
    entry = pwd.getpwnam(_ROOT_BECOMES)
    return Account(uid=entry.pw_uid, gid=entry.pw_gid)


def _open_way_to(folder: Path) -> None:
    """Let other accounts pass through (not list) the folders above: root runs Postgres as one."""
    for parent in folder.parents:
        mode = stat.S_IMODE(parent.stat().st_mode)
        if not mode & stat.S_IXOTH:
            parent.chmod(mode | stat.S_IXOTH)
