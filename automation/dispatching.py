"""Sending a technician to one ticket: recommended, then dispatched, as far as the ladder allows."""

from enum import StrEnum
from typing import Any, NamedTuple

import structlog

from automation.client import Gateway, GatewayError, derived_key
from automation.tally import Tally
from policy.autonomy.verdict import LEVEL_SCOPE
from policy.codes import CODES, Code
from policy.model import State
from policy.rules.autonomy import Verdict
from policy.rules.bundle import Bundle

RECOMMEND, DISPATCH = "assignment.recommend", "assignment.dispatch"
ANY_SERVICE = "DEFAULT"
STANDARD = "STANDARD"
REASONS = {Verdict.PAUSED: "autonomy_paused", Verdict.OFF: "autonomy_off"}
REFUSED_PROPOSAL = {code for code, spec in CODES.items() if spec.dimension == "assignment"}
NOT_WAITING = "no_longer_waiting"


class Ending(StrEnum):
    """What became of one ticket in one cycle."""

    DISPATCHED = "dispatched"
    SKIPPED = "skipped"
    NOTHING = "nothing"


class Proposal(NamedTuple):
    """Whom the gateway recommends."""

    tech_id: str
    snapshot_id: str


class Dispatching:
    """Serves tickets one by one, for as long as the process lives."""

    def __init__(self, gateway: Gateway, bundle: Bundle, identity: str, tally: Tally) -> None:
        self._gateway = gateway
        self._rules = bundle.autonomy
        self._identity = identity
        self._tally = tally
        self._log = structlog.get_logger().bind(worker=identity)
        self._refused: dict[str, tuple[int, int]] = {}

    def forget_all_but(self, ticket_ids: set[str]) -> None:
        """Keep what is remembered of these tickets only."""
        self._refused = {each: self._refused[each] for each in self._refused.keys() & ticket_ids}

    async def serve(self, ticket_id: str, correlation_id: str) -> Ending:
        """Do for a ticket without technician what automation may do."""
        try:
            query = {"ticket_id": ticket_id}
            control = await self._gateway.read("ops.autonomy.state", correlation_id, query)
            ticket = await self._gateway.read("ticket.get", correlation_id, ticket_id=ticket_id)
        except GatewayError as error:
            return self._failed("worker.recommend_error", ticket_id, error)
        if ticket["state"] != State.SCHEDULED or ticket["assigned_tech_id"] is not None:
            return self._skipped(ticket_id, NOT_WAITING)
        paused = control["decision"]["is_paused"]
        may_propose, may_dispatch = (
            self._rules.verdict(tool, ticket["incident_type"], paused=paused)
            for tool in (RECOMMEND, DISPATCH)
        )
        for verdict in (may_propose, may_dispatch):
            if verdict in REASONS:
                return self._skipped(ticket_id, REASONS[verdict])
        proposal = await self._propose(ticket, correlation_id)
        if isinstance(proposal, Ending):
            return proposal
        if may_dispatch is Verdict.SHADOW:
            self._log.info("worker.proposal", ticket_id=ticket_id, **proposal._asdict())
            return Ending.NOTHING
        return await self._dispatch(ticket, proposal, correlation_id)

    async def _propose(self, ticket: dict[str, Any], correlation_id: str) -> Proposal | Ending:
        ticket_id = ticket["id"]
        service_type = (ticket["incident_type"] or "").strip() or ANY_SERVICE
        body = {"service_type": service_type, "recommendation_limit": 1}
        try:
            answer = await self._command(RECOMMEND, ticket, body, correlation_id)
        except GatewayError as error:
            if error.code == Code.ASSIGNMENT_RECOMMENDATION_UNAVAILABLE:
                return self._nobody(ticket_id)
            return self._failed("worker.recommend_error", ticket_id, error)
        if not answer["recommendations"]:
            return self._nobody(ticket_id)
        self._tally.recommendations += 1
        return Proposal(answer["recommendations"][0]["tech_id"], answer["snapshot_id"])

    async def _dispatch(
        self, ticket: dict[str, Any], proposal: Proposal, correlation_id: str
    ) -> Ending:
        ticket_id = ticket["id"]
        body = {
            "tech_id": proposal.tech_id,
            "dispatch_mode": STANDARD,
            "recommendation_snapshot_id": proposal.snapshot_id,
        }
        try:
            await self._command(DISPATCH, ticket, body, correlation_id)
        except GatewayError as error:
            if error.code in REFUSED_PROPOSAL:
                self._refused[ticket_id] = (ticket["version"], self._attempt(ticket) + 1)
            return self._failed("worker.dispatch_error", ticket_id, error)
        self._tally.dispatches += 1
        self._log.info("worker.dispatch_success", ticket_id=ticket_id, **proposal._asdict())
        return Ending.DISPATCHED

    async def _command(
        self, tool: str, ticket: dict[str, Any], body: dict[str, Any], correlation_id: str
    ) -> dict[str, Any]:
        version, attempt = ticket["version"], self._attempt(ticket)
        key = derived_key(self._identity, tool, ticket["id"], version, attempt)
        return await self._gateway.command(tool, ticket["id"], key, body, correlation_id)

    def _attempt(self, ticket: dict[str, Any]) -> int:
        """Return how many proposals for this version of the ticket were refused."""
        version, attempts = self._refused.get(ticket["id"], (ticket["version"], 0))
        return attempts if version == ticket["version"] else 0

    def _skipped(self, ticket_id: str, reason: str) -> Ending:
        self._tally.skipped += 1
        self._log.info("worker.skipped", ticket_id=ticket_id, reason=reason)
        return Ending.SKIPPED

    def _nobody(self, ticket_id: str) -> Ending:
        self._log.warning("worker.no_recommendation", ticket_id=ticket_id)
        return Ending.NOTHING

    def _failed(self, event: str, ticket_id: str, error: GatewayError) -> Ending:
        if error.code == Code.AUTONOMY_DISABLED:  # since we asked, or by a newer bundle
            of_the_level = error.details.get("scope_type") == LEVEL_SCOPE
            verdict = Verdict.OFF if of_the_level else Verdict.PAUSED
            return self._skipped(ticket_id, REASONS[verdict])
        self._tally.failed(error.code)
        self._log.error(event, ticket_id=ticket_id, error_code=error.code, status=error.status)
        return Ending.NOTHING
