"""The workflow sandbox, spared questions that always have the same answer."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from temporalio.converter import SerializationContext, StorageDriverStoreContext
from temporalio.worker import WorkflowInstance, WorkflowInstanceDetails, WorkflowRunner
from temporalio.workflow import Info

if TYPE_CHECKING:  # not exported under these names
    from temporalio.bridge.proto.workflow_activation import WorkflowActivation
    from temporalio.bridge.proto.workflow_completion import WorkflowActivationCompletion
    from temporalio.worker._command_aware_visitor import CommandInfo
    from temporalio.workflow import _Definition


class ContextFreeRunner(WorkflowRunner):
    """Runs workflows with `inner`; no payload is converted in the light of where it belongs.

    The SDK asks a workflow for that context several times per payload, and each question enters
    the sandbox: a fifth of a worker's processor time. Our data converter knows no contexts.
    """

    def __init__(self, inner: WorkflowRunner) -> None:
        self._inner = inner

    def prepare_workflow(self, defn: "_Definition") -> None:
        """Check a workflow's definition."""
        self._inner.prepare_workflow(defn)

    def create_instance(self, det: WorkflowInstanceDetails) -> WorkflowInstance:
        """Return a fresh instance of a workflow."""
        return _Instance(self._inner.create_instance(det))

    def set_worker_level_failure_exception_types(
        self, types: Sequence[type[BaseException]]
    ) -> None:
        """Take over which exceptions fail a workflow."""
        self._inner.set_worker_level_failure_exception_types(types)


class _Instance(WorkflowInstance):
    def __init__(self, inner: WorkflowInstance) -> None:
        self._inner = inner

    def activate(self, act: "WorkflowActivation") -> "WorkflowActivationCompletion":
        return self._inner.activate(act)

    def get_serialization_context(
        self,
        command_info: "CommandInfo | None",  # noqa: ARG002  the same for every command
    ) -> SerializationContext | None:
        return None

    def get_external_store_context(
        self,
        command_info: "CommandInfo | None",  # noqa: ARG002  nothing is stored externally
    ) -> StorageDriverStoreContext:
        return StorageDriverStoreContext(target=None)

    def get_info(self) -> Info:
        return self._inner.get_info()

    def get_thread_id(self) -> int | None:
        return self._inner.get_thread_id()
