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
    """The preferred ports of the stack; 0 stands for any free one, a UI of None for no UI."""

    api: int = 0
    postgres: int = 0
    s3: int = 0
    temporal: int = 0
    ui: int | None = 0


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
    """Hands out ports, each in one hand of this machine only until its chooser releases it.

    The mark of a port in hand is the UDP port of the same number: the system gives it to one
    socket only and takes it back however the process ends, and no part uses UDP.
    """

    def __init__(self) -> None:
        self._marks: list[socket.socket] = []

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

    def release(self) -> None:
        """Give every port back."""
        while self._marks:
            self._marks.pop().close()

    def _take(self, port: int) -> bool:
        mark = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        try:
            mark.bind((LOOPBACK, port))
            free = is_free(port)
        except OSError:
            free = False
        if free:
            self._marks.append(mark)
        else:
            mark.close()
        return free
