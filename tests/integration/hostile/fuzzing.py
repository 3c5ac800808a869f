"""Random calls made from the OpenAPI document, steered to where something can happen."""

from collections import Counter
from collections.abc import Iterator, Mapping
from copy import deepcopy
from dataclasses import dataclass, field
from typing import Any, TypeAlias
from uuid import uuid4

import httpx
import schemathesis.openapi
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st
from hypothesis.errors import Unsatisfiable
from schemathesis import Case, GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.core.failures import FailureGroup
from schemathesis.core.result import Ok
from schemathesis.core.transport import Response
from schemathesis.schemas import APIOperation
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from api.openapi.document import openapi_document
from api.routes.agents_door import PATH as AGENTS_DOOR
from policy.model import Role
from tests.integration.reads.http_cells import BUNDLE
from tests.integration.servers.gateway import TestGateway

CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]
AnyCase: TypeAlias = Case[Any]
AnyOperation: TypeAlias = APIOperation[Any, Any, Any, Any]
MODES = (GenerationMode.POSITIVE, GenerationMode.NEGATIVE)
MOSTLY = 5  # all but one in so many
MISLEADING = ("Authorization", "X-Actor-Id", "X-Actor-Role", "X-Tool-Name")


@dataclass
class Fuzzer:
    """Calls a gateway at random, counts, and keeps what an answer did against its schema."""

    gateway: TestGateway
    tickets: list[str] = field(default_factory=list)
    statuses: Counter[int] = field(default_factory=Counter)
    faults: dict[str, str] = field(default_factory=dict)

    @property
    def calls(self) -> int:
        """How many calls were answered."""
        return self.statuses.total()

    def run(self, calls: int, number: int) -> None:
        """Make about so many calls, spread over all operations; `number` seeds them."""
        found = list(operations())
        for operation in found:
            for mode in MODES:
                self._fuzz(operation, mode, max(1, calls // (2 * len(found))), number)

    def _fuzz(self, operation: AnyOperation, mode: GenerationMode, count: int, number: int) -> None:
        @seed(number)
        @settings(
            max_examples=count,
            database=None,
            deadline=None,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        @given(case=operation.as_strategy(mode), data=st.data())
        def call(case: AnyCase, data: st.DataObject) -> None:
            if data.draw(st.integers(1, MOSTLY)) < MOSTLY:
                self._steer(case, data)
            self._call(case)

        try:
            call()
        except Unsatisfiable:
            assert mode is GenerationMode.NEGATIVE, operation.label  # nothing there to get wrong

    def _steer(self, case: AnyCase, data: st.DataObject) -> None:
        """Give the case an actor that may call and, mostly, ids that exist."""
        known = self._known(data)
        tool = case.operation.definition.raw.get("x-tool", {})
        role = data.draw(st.sampled_from(tool.get("roles") or list(Role)))
        for name in MISLEADING:
            case.headers.pop(name, None)
        case.headers.update(self.gateway.as_role(role))
        for parameters in (case.path_parameters, case.query, case.body):
            if isinstance(parameters, dict):
                replace(parameters, known, data)

    def _known(self, data: st.DataObject) -> Mapping[str, Any]:
        ticket = data.draw(st.sampled_from(self.tickets))
        named = data.draw(st.sampled_from(TOOLS))
        return {
            **dict.fromkeys(("ticketId", "ticket_id", "approval_id", "outbox_id"), ticket),
            **dict.fromkeys(("confirmation_id", "customer_confirmation_id"), ticket),
            "account_id": self.gateway.account_id,
            "site_id": self.gateway.site_id,
            "tech_id": self.gateway.tech_id,
            "name": named,
            "request_id": str(uuid4()),
            "file": "stuck_scheduling.md",
        }

    def _call(self, case: AnyCase) -> None:
        response = case.call(base_url=self.gateway.url)
        self.statuses[response.status_code] += 1
        for fault in faults_of(case, response):
            self.faults.setdefault(f"{case.operation.label}: {fault}", case.as_curl_command())


TOOLS = tuple(BUNDLE.tools)


def operations() -> Iterator[AnyOperation]:
    """Yield every operation of the document but that of the agents' door, which speaks JSON-RPC.

    Cases are changed in place: they must not share the examples with the guide.
    """
    whole = deepcopy(openapi_document(BUNDLE))
    spoken = {path: each for path, each in whole["paths"].items() if path != AGENTS_DOOR}
    document = schemathesis.openapi.from_dict({**whole, "paths": spoken})
    for result in document.get_all_operations():
        assert isinstance(result, Ok), result
        yield result.ok()


def replace(parameters: dict[str, Any], known: Mapping[str, Any], data: st.DataObject) -> None:
    """Put what exists in the place of what was made up, mostly."""
    for name in parameters.keys() & known.keys():
        if data.draw(st.integers(1, MOSTLY)) < MOSTLY:
            parameters[name] = known[name]


def faults_of(case: AnyCase, response: Response | httpx.Response) -> list[str]:
    """Return what is wrong with an answer."""
    try:
        case.validate_response(response, checks=CHECKS)
    except FailureGroup as group:
        return [str(fault) for fault in group.exceptions]
    return []
