"""Files of a data folder: private from the first moment, replaced in one step."""

import os
from collections.abc import Iterable
from pathlib import Path

_PRIVATE_FILE = 0o600
_PRIVATE_FOLDER = 0o700
_LOG_LIMIT_BYTES = 16 * 1024 * 1024


def private_folder(path: Path) -> Path:
    """Create a folder that its owner alone may enter, unless it is there; return it."""
    path.mkdir(mode=_PRIVATE_FOLDER, parents=True, exist_ok=True)
    return path


def write_private(path: Path, text: str, *, uid: int = -1, gid: int = -1) -> None:
    """Replace a file, in one step, by one that its owner alone may read; -1: we own it."""
    fresh = path.with_name(f"{path.name}.new")
    fresh.unlink(missing_ok=True)
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, _PRIVATE_FILE)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        os.fchown(descriptor, uid, gid)
        file.write(text)
        file.flush()
        os.fsync(descriptor)
    fresh.replace(path)


def remove(paths: Iterable[Path]) -> None:
    """Remove files that may be there."""
    for path in paths:
        path.unlink(missing_ok=True)


def rotate_log(path: Path) -> None:
    """Keep one earlier generation of a log that has grown large."""
    if path.exists() and path.stat().st_size > _LOG_LIMIT_BYTES:
        path.replace(path.with_suffix(".log.1"))
