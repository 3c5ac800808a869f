"""The choice of ports: no two stacks of one machine are given the same one."""

import socket
import sys
from contextlib import ExitStack
from subprocess import PIPE, Popen

from runtime.stack.ports import LOOPBACK, PortChooser

PROCESSES, PORTS_EACH = 4, 25
WANTED = range(30_000, 30_900)  # every process would like the first of them
CHOOSE = f"""
import sys
from runtime.stack.ports import PortChooser
chooser = PortChooser()
print("ready", flush=True)
sys.stdin.readline()
wanted = range({WANTED.start}, {WANTED.stop})
print(*(chooser.choose(wanted) for _ in range({PORTS_EACH})), flush=True)
sys.stdin.readline()
"""


def test_processes_that_choose_in_the_same_moment_are_never_given_the_same_port() -> None:
    with ExitStack() as stack:
        command = (sys.executable, "-c", CHOOSE)
        rivals = [
            stack.enter_context(Popen(command, stdin=PIPE, stdout=PIPE, text=True))  # noqa: S603
            for _ in range(PROCESSES)
        ]
        assert [_line(rival) for rival in rivals] == ["ready"] * PROCESSES
        for rival in rivals:
            print(file=rival.stdin, flush=True)
        chosen = [int(port) for rival in rivals for port in _line(rival).split()]
    assert len(chosen) == PROCESSES * PORTS_EACH
    assert len(set(chosen)) == len(chosen)


def test_a_port_is_held_until_it_is_released() -> None:
    first, second = PortChooser(), PortChooser()
    port = first.choose(WANTED)
    assert first.choose([port]) != port
    assert second.choose([port]) != port
    first.release()
    assert second.choose([port]) == port
    second.release()


def test_a_port_that_somebody_listens_on_is_not_given() -> None:
    chooser = PortChooser()
    with socket.create_server((LOOPBACK, 0)) as server:
        port = server.getsockname()[1]
        assert chooser.choose([port]) != port
    chooser.release()


def _line(rival: Popen[str]) -> str:
    assert rival.stdout is not None
    return rival.stdout.readline().strip()
