"""What a running stack leaves on disk: its lock, its state file and its generated secrets."""

import fcntl
import secrets
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import TextIO

from pydantic import BaseModel, ConfigDict, Field

from runtime.client import CLIENT_FILE, ClientEnvironment, StackError
from runtime.key_ring import new_key
from runtime.stack.files import remove, write_private
from runtime.stack.processes import ProcessRecord
from runtime.stack.store_policies import GATEWAY, WORKER

_STATE = "stack.json"
_SECRETS = "secrets.json"
_LOCK = "stack.lock"


class PartState(BaseModel):
    """One part as the state file shows it; without a process it is an external server."""

    model_config = ConfigDict(frozen=True)

    name: str
    url: str
    log_path: Path | None = None
    process: ProcessRecord | None = None
    restarts: int = 0
    leftovers: tuple[Path, ...] = ()


class StackState(BaseModel):
    """The state file of a stack. Parts are in start order. Holds no secret."""

    model_config = ConfigDict(frozen=True)

    supervisor: ProcessRecord
    started_at: datetime
    healthy: bool
    urls: Mapping[str, str]
    parts: tuple[PartState, ...]


class StoreLogin(BaseModel):
    """Credentials at the object store."""

    model_config = ConfigDict(frozen=True)

    access_key_id: str = Field(default_factory=lambda: secrets.token_hex(10).upper())
    secret_access_key: str = Field(default_factory=lambda: secrets.token_hex(20))

    @property
    def env(self) -> dict[str, str]:
        """The variables that a process reads them from."""
        return {
            "DISPATCH_S3_ACCESS_KEY_ID": self.access_key_id,
            "DISPATCH_S3_SECRET_ACCESS_KEY": self.secret_access_key,
        }


class StackSecrets(BaseModel):
    """Generated once per data folder, never printed."""

    model_config = ConfigDict(frozen=True)

    postgres_admin_password: str = Field(default_factory=lambda: secrets.token_hex(24))
    postgres_owner_password: str = Field(default_factory=lambda: secrets.token_hex(24))
    postgres_app_password: str = Field(default_factory=lambda: secrets.token_hex(24))
    postgres_gateway_password: str = Field(default_factory=lambda: secrets.token_hex(24))
    s3_access_key_id: str = Field(default_factory=lambda: secrets.token_hex(10).upper())
    s3_secret_access_key: str = Field(default_factory=lambda: secrets.token_hex(20))
    s3_gateway: StoreLogin = Field(default_factory=StoreLogin)
    s3_worker: StoreLogin = Field(default_factory=StoreLogin)
    jwt_secret: str = Field(default_factory=lambda: secrets.token_hex(32))
    signing_key: str = Field(default_factory=lambda: new_key("embedded"))
    dossier_key: str = Field(default_factory=lambda: new_key("embedded-dossiers"))

    @property
    def store_logins(self) -> Mapping[str, StoreLogin]:
        """The store's logins of those who have less than all rights, by duty."""
        return {GATEWAY: self.s3_gateway, WORKER: self.s3_worker}


class StackLock:
    """One supervisor per data folder; the lock goes with the process, however it ends."""

    def __init__(self, data_dir: Path) -> None:
        self._path = data_dir / _LOCK
        self._file: TextIO | None = None

    def acquire(self) -> None:
        """Take the lock. Raises `StackError` if another supervisor holds it."""
        file = self._path.open("a")
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as taken:
            file.close()
            raise StackError(
                f"A stack is already running on {self._path.parent}. "
                "See it with `dispatch status`, stop it with `dispatch down`."
            ) from taken
        self._file = file

    def release(self) -> None:
        """Give the lock back."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def is_held(self) -> bool:
        """Return whether some supervisor holds the lock."""
        if not self._path.exists():
            return False
        try:
            self.acquire()
        except StackError:
            return True
        self.release()
        return False


def read_state(data_dir: Path) -> StackState | None:
    """Return what the last stack of this data folder wrote, if it was not stopped cleanly."""
    path = data_dir / _STATE
    return StackState.model_validate_json(path.read_bytes()) if path.exists() else None


def write_state(data_dir: Path, state: StackState) -> None:
    """Replace the state file in one step."""
    write_private(data_dir / _STATE, state.model_dump_json(indent=2))


def write_client(data_dir: Path, client: ClientEnvironment) -> None:
    """Leave a note for the commands that talk to the stack; readable by its owner alone."""
    write_private(data_dir / CLIENT_FILE, client.as_json())


def remove_state(data_dir: Path) -> None:
    """Remove what describes a running stack: nothing of this data folder runs any more."""
    remove(data_dir / name for name in (_STATE, CLIENT_FILE))


def ensure_secrets(data_dir: Path) -> StackSecrets:
    """Return the secrets of a data folder; what is missing is generated."""
    path = data_dir / _SECRETS
    known = StackSecrets.model_validate_json(path.read_bytes() if path.exists() else "{}")
    write_private(path, known.model_dump_json(indent=2))
    return known
