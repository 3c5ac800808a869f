"""One whole stack for the session: Postgres, Temporal, S3, worker and API.

Whose module names it in `pytest_plugins` gets `gateway` to call.
"""

from collections.abc import Iterator

import pytest

from tests.integration.servers.gateway import TestGateway
from tests.integration.servers.running_stack import gateway_of, running


@pytest.fixture(scope="session")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestGateway]:
    """Run the stack in a thread of its own for the whole session."""
    with running(tmp_path_factory.mktemp("gateway")) as stack, gateway_of(stack) as found:
        yield found
