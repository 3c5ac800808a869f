"""The embedded stack: every server the product needs, run from wheels by one process."""

from runtime.client import StackError
from runtime.stack.layout import ALL_PARTS, SERVERS, PartName
from runtime.stack.ports import PREFERRED_PORTS, Ports
from runtime.stack.stack import EmbeddedStack, stop_stack
from runtime.stack.state import (
    StackState,
    read_state,
)
from runtime.stack.status import PartStatus, StackStatus, stack_status

__all__ = [
    "ALL_PARTS",
    "PREFERRED_PORTS",
    "SERVERS",
    "EmbeddedStack",
    "PartName",
    "PartStatus",
    "Ports",
    "StackError",
    "StackState",
    "StackStatus",
    "read_state",
    "stack_status",
    "stop_stack",
]
