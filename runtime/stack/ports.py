"""Choice of loopback ports: the preferred one, or a free one if it is taken."""

import random
import socket
from collections.abc import Iterable
from dataclasses import dataclass

LOOPBACK = "127.0.0.1"
# Below the ephemeral range of every system, so that an outgoing connection never takes a port
# that a restarted part needs again.
_FREE_RANGE = range(20_000, 32_000)
_ATTEMPTS = 500


@dataclass(frozen=True)
class Ports:
    """The preferred ports of the stack; 0 stands for any free one."""

    api: int = 0
    postgres: int = 0
    s3: int = 0
    temporal: int = 0
    ui: int = 0


PREFERRED_PORTS = Ports(api=8080, postgres=54320, s3=8333, temporal=7233, ui=8233)


def is_free(port: int) -> bool:
    """Return whether a server could listen on `port` now."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            return False
    return True


class PortChooser:
    """Hands out ports, never the same one twice."""

    def __init__(self) -> None:
        self._taken: set[int] = set()

    def choose(self, preferred: Iterable[int] = ()) -> int:
        """Return the first usable preferred port, or else a free one. 0 is skipped."""
        for port in preferred:
            if port and self._take(port):
                return port
        for _ in range(_ATTEMPTS):
            port = random.choice(_FREE_RANGE)  # noqa: S311  not a secret
            if self._take(port):
                return port
        raise OSError(f"no free port between {_FREE_RANGE.start} and {_FREE_RANGE.stop}")

    def _take(self, port: int) -> bool:
        if port in self._taken or not is_free(port):
            return False
        self._taken.add(port)
        return True
