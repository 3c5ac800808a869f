"""Fixtures: a whole stack for the module, and its gateway."""

from collections.abc import Iterator

import pytest

from tests.faults.stack import Faults
from tests.integration.gateway import TestGateway
from tests.integration.stack_fixture import gateway_of, running


@pytest.fixture(scope="module")
def faults(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Faults]:
    """Run a whole stack for the module."""
    with running(tmp_path_factory.mktemp("faults")) as stack:
        yield Faults(stack)


@pytest.fixture(scope="module")
def gateway(faults: Faults) -> Iterator[TestGateway]:
    """Return the gateway of the module's stack."""
    with gateway_of(faults.stack) as found:
        yield found
