"""Fixtures: a whole stack for the session, apart from the integration tests', and its gateway."""

from collections.abc import Iterator

import pytest

from tests.faults.stack import Faults
from tests.integration.servers.gateway import TestGateway
from tests.integration.servers.running_stack import gateway_of, running


@pytest.fixture(scope="session")
def faults(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Faults]:
    """Run a whole stack for the fault tests of the session."""
    with running(tmp_path_factory.mktemp("faults")) as stack:
        yield Faults(stack)


@pytest.fixture(scope="session")
def gateway(faults: Faults) -> Iterator[TestGateway]:
    """Return the gateway of that stack."""
    with gateway_of(faults.stack) as found:
        yield found
