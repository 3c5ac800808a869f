"""What a running stack leaves for the commands that talk to it: how its parts are reached.

It is read before anything else, by every command, and so it imports next to nothing.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

DEFAULT_DATA_DIR: Final = Path(".dispatch")
CLIENT_FILE: Final = "client.json"


class StackError(Exception):
    """A part of the stack cannot do its work; the message says which and why."""


@dataclass(frozen=True)
class ClientEnvironment:
    """How to reach a running stack: the DISPATCH_ variables, and the login for migrations."""

    env: Mapping[str, str]
    owner_database_url: str | None = None

    def as_json(self) -> str:
        """Return the note as it is kept on disk."""
        return json.dumps(asdict(self), indent=2)


def read_client(data_dir: Path) -> ClientEnvironment | None:
    """Return how to reach the running stack of this data folder, if there is one."""
    path = data_dir / CLIENT_FILE
    return ClientEnvironment(**json.loads(path.read_bytes())) if path.exists() else None
