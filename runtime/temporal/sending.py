"""Sending a command to the workflow that owns its subject: the one way in."""

from collections.abc import Mapping
from datetime import timedelta
from enum import StrEnum

from temporalio.client import Client
from temporalio.common import WorkflowIDConflictPolicy, WorkflowIDReusePolicy
from temporalio.service import RPCError, RPCStatusCode

from contracts.command import SignedCommand
from contracts.engine_limits import shown_summary
from policy.command.message import Command
from runtime.temporal.destination import Destination

RPC_LIMIT = timedelta(seconds=5)
ENGINE_FAULTS = (TimeoutError, RPCError, RuntimeError)
"""What is raised when a command could not be sent; a client that never connected says RuntimeError.
"""
_REFUSALS = frozenset(
    {
        RPCStatusCode.INVALID_ARGUMENT,
        RPCStatusCode.NOT_FOUND,
        RPCStatusCode.PERMISSION_DENIED,
        RPCStatusCode.UNAUTHENTICATED,
        RPCStatusCode.FAILED_PRECONDITION,
        RPCStatusCode.RESOURCE_EXHAUSTED,
        RPCStatusCode.UNIMPLEMENTED,
    }
)


def is_refusal(error: Exception) -> bool:
    """Whether the engine has said that it did not take a command; else it may have arrived."""
    return isinstance(error, RPCError) and error.status in _REFUSALS


_ABSENT = frozenset(
    {RPCStatusCode.UNAVAILABLE, RPCStatusCode.DEADLINE_EXCEEDED, RPCStatusCode.CANCELLED}
)


class Trouble(StrEnum):
    """What kept a command from being sent: nobody answered, or what was answered."""

    UNREACHABLE = "unreachable"
    REFUSED = "refused"
    FAILED = "failed"


def trouble_of(error: Exception) -> Trouble:
    """Return what one of `ENGINE_FAULTS` says."""
    if not isinstance(error, RPCError) or error.status in _ABSENT:
        return Trouble.UNREACHABLE
    return Trouble.REFUSED if is_refusal(error) else Trouble.FAILED


class Sender:
    """Sends signed commands; `destinations` are by the kind of what a command is about.

    Sending twice is harmless: a command is decided once.
    """

    def __init__(self, client: Client, destinations: Mapping[str, Destination]) -> None:
        self._client = client
        self._destinations = destinations

    async def signal(self, signed: SignedCommand) -> bool:
        """Signal the running workflow of the subject; return whether there was one.

        Cheaper than `start`, where one is to be expected. Raises one of `ENGINE_FAULTS`.
        """
        command = signed.command
        handle = self._client.get_workflow_handle(command.subject.workflow_id)
        try:
            await handle.signal(command.tool, signed, rpc_timeout=RPC_LIMIT)
        except RPCError as error:
            if error.status is RPCStatusCode.NOT_FOUND:
                return False
            raise
        return True

    async def start(self, signed: SignedCommand, seen: Command) -> None:
        """Signal the subject's workflow, starting it if none runs; raise one of `ENGINE_FAULTS`.

        `seen` is the command with its payload, wherever that travels: operators see of it what its
        kind shows.
        """
        command = signed.command
        destination = self._destinations[command.subject.kind]
        summary = destination.summary(seen)
        await self._client.start_workflow(
            destination.workflow,
            destination.start(command),
            id=command.subject.workflow_id,
            task_queue=destination.task_queue,
            id_reuse_policy=WorkflowIDReusePolicy.ALLOW_DUPLICATE,
            id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
            start_signal=command.tool,
            start_signal_args=[signed],
            search_attributes=destination.attributes(seen),
            static_summary=None if summary is None else shown_summary(summary),
            rpc_timeout=RPC_LIMIT,
        )
