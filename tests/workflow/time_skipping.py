"""Fixtures: a time-skipping server for the module, a fresh ticket on a worker of its own."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from uuid import uuid4

import pytest_asyncio
from temporalio.api.enums.v1 import IndexedValueType
from temporalio.api.operatorservice.v1 import AddSearchAttributesRequest
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.testing import WorkflowEnvironment

from contracts.attributes import SEARCH_ATTRIBUTES
from runtime.stack.servers import script
from tests.workflow.driver import TicketDriver, ticket_worker
from tests.workflow.memory import InMemoryTicketActivities

KINDS = {
    "Keyword": IndexedValueType.INDEXED_VALUE_TYPE_KEYWORD,
    "Int": IndexedValueType.INDEXED_VALUE_TYPE_INT,
    "Text": IndexedValueType.INDEXED_VALUE_TYPE_TEXT,
}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def skipping() -> AsyncIterator[WorkflowEnvironment]:
    """Start a server whose clock the test moves."""
    async with time_skipping_server() as environment:
        yield environment


@asynccontextmanager
async def time_skipping_server() -> AsyncIterator[WorkflowEnvironment]:
    """Run a server with our search attributes."""
    environment = await WorkflowEnvironment.start_time_skipping(
        test_server_existing_path=script("temporal-test-server"),
        data_converter=pydantic_data_converter,
    )
    async with environment:
        request = AddSearchAttributesRequest(
            namespace=environment.client.namespace,
            search_attributes={name: KINDS[kind] for name, kind in SEARCH_ATTRIBUTES.items()},
        )
        await environment.client.operator_service.add_search_attributes(request)
        yield environment


@pytest_asyncio.fixture(loop_scope="module")
async def ticket(skipping: WorkflowEnvironment) -> AsyncIterator[TicketDriver]:
    """Return a ticket that no command has reached yet."""
    activities, task_queue = InMemoryTicketActivities(skipping.get_current_time), str(uuid4())
    async with ticket_worker(skipping.client, task_queue, activities):
        yield TicketDriver(skipping.client, task_queue, activities)
