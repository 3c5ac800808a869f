"""What runs now, and how much memory it takes."""

from collections.abc import Mapping
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from runtime.stack import processes
from runtime.stack.state import PartState, read_state

_SUPERVISOR = "supervisor"
_EXTERNAL = "external"
_RUNNING = "running"
_STOPPED = "stopped"


class PartStatus(BaseModel):
    """One part; `state` is running, stopped or external."""

    model_config = ConfigDict(frozen=True)

    name: str
    state: str
    url: str
    pid: int | None = None
    restarts: int = 0
    memory_bytes: int = 0
    log_path: Path | None = None


class StackStatus(BaseModel):
    """The whole stack; `running` means that all of it does, and that it has been healthy."""

    model_config = ConfigDict(frozen=True)

    running: bool
    urls: Mapping[str, str]
    memory_bytes: int
    parts: tuple[PartStatus, ...]


def stack_status(data_dir: Path) -> StackStatus:
    """Return the status of the stack of a data folder."""
    known = read_state(data_dir)
    if known is None:
        return StackStatus(running=False, urls={}, memory_bytes=0, parts=())
    supervisor = PartState(name=_SUPERVISOR, url="", process=known.supervisor)
    parts = tuple(_part_status(part) for part in (supervisor, *known.parts))
    return StackStatus(
        running=known.healthy and all(part.state != _STOPPED for part in parts),
        urls=known.urls,
        memory_bytes=sum(part.memory_bytes for part in parts),
        parts=parts,
    )


def _part_status(part: PartState) -> PartStatus:
    process = part.process
    if process is None:
        # Only an external server has no log here.
        state = _EXTERNAL if part.log_path is None else _STOPPED
        return PartStatus(name=part.name, state=state, url=part.url, log_path=part.log_path)
    running = processes.is_running(process)
    # The parts are the supervisor's children; they are counted on their own.
    memory = processes.memory_bytes(process, children=part.name != _SUPERVISOR)
    return PartStatus(
        name=part.name,
        state=_RUNNING if running else _STOPPED,
        url=part.url,
        pid=process.pid if running else None,
        restarts=part.restarts,
        memory_bytes=memory if running else 0,
        log_path=part.log_path,
    )
