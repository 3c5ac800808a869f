"""The four drills: how each alert is provoked, and what ends its cause."""

from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Final
from uuid import uuid4

import httpx

from cli.scenario.lifecycle import LIFECYCLE, Step
from cli.scenario.stage import credentials, names
from cli.scenario.walk import Check, GatewayDownError, Visit, Walk, document_of
from policy.model import Role
from policy.rules.bundle import load_bundle
from runtime.settings import Settings

TO_READY: Final = LIFECYCLE[:2]
REJECTION: Final = next(index for index, step in enumerate(LIFECYCLE) if not step.accepted)
TO_COMPLETION: Final = REJECTION + 3  # the missing evidence, and the completion


@dataclass(frozen=True)
class Scene:
    """The gateway that is drilled, and who acts on it."""

    client: httpx.AsyncClient
    chosen: Settings

    def identity(self, role: Role) -> Mapping[str, str]:
        """Return the headers of the drill's own actor of a role."""
        return credentials(self.chosen, "drill")(role)

    def walk(self, scenario: Sequence[Step]) -> Walk:
        """Return a walk with a ticket of its own."""
        actors = credentials(self.chosen, "drill")
        return Walk(self.client, load_bundle(), actors, scenario, names(self.chosen))

    async def send(
        self, role: Role, path: str, body: Mapping[str, Any], key: str | None = None
    ) -> httpx.Response:
        """Send a command, under a fresh key unless one is given."""
        headers = {**self.identity(role), "Idempotency-Key": key or str(uuid4())}
        return await self.client.post(path, json=body, headers=headers)

    async def alerts(self) -> dict[str, Any]:
        """Return the answer of /ops/alerts; raises `GatewayDownError` if there is none."""
        answer = await self.client.get("/ops/alerts", headers=self.identity(Role.DISPATCHER))
        if not answer.is_success:
            raise GatewayDownError(f"/ops/alerts answers HTTP {answer.status_code}")
        return document_of(answer)

    async def cancel(self, ticket_id: str | None) -> Check:
        """Cancel a ticket of the drill."""
        reason = {"reason": "end of the drill"}
        answer = await self.send(Role.DISPATCHER, f"/tickets/{ticket_id}/cancel", reason)
        return answered("the drill's ticket is cancelled", answer, httpx.codes.OK)


class Drill(ABC):
    """One alert: provoked, explained by its runbook, remedied.

    `places` are what the runbook's placeholders stand for once it is provoked, `remark` explains a
    count that does not rise, in terms of the thresholds.
    """

    alert: ClassVar[str]
    signal: ClassVar[str]
    remark: ClassVar[str] = ""

    def __init__(self, scene: Scene) -> None:
        self.scene = scene
        self.places: dict[str, str] = {}

    @abstractmethod
    def provoke(self, times: int) -> AsyncIterator[Check]:
        """Do what the alert counts, so many times."""

    @abstractmethod
    def remedy(self) -> AsyncIterator[Check]:
        """Do what the runbook asks for, and clean up."""


class StuckScheduling(Drill):
    """Tickets that nobody schedules."""

    alert = "STUCK_SCHEDULING"
    signal = "stuck_scheduling_count"
    remark = " (a ticket is stuck after {stuck_scheduling_minutes} minutes here)"

    def __init__(self, scene: Scene) -> None:
        super().__init__(scene)
        self._tickets: list[str | None] = []

    async def provoke(self, times: int) -> AsyncIterator[Check]:
        """Bring tickets to READY_TO_SCHEDULE and leave them there."""
        for _ in range(times):
            walk = self.scene.walk(TO_READY)
            async for visit in walk.steps():
                for check in failures(visit):
                    yield check
            self._tickets.append(walk.ticket_id)
        yield Check(f"{times} tickets rest in READY_TO_SCHEDULE")

    async def remedy(self) -> AsyncIterator[Check]:
        """Move the tickets on, and see the count fall."""
        before = await self.scene.alerts()
        for ticket_id in self._tickets:
            yield await self.scene.cancel(ticket_id)
        after = await self.scene.alerts()
        fell = after["signals"][self.signal] < before["signals"][self.signal]
        yield Check(f"{self.signal} falls", None if fell else "it does not")


class CompletionRejection(Drill):
    """A technician who does not know what is missing."""

    alert = "COMPLETION_REJECTION_SPIKE"
    signal = "completion_rejection_count"

    async def provoke(self, times: int) -> AsyncIterator[Check]:
        """Complete without the evidence that the template asks for."""
        rejected = [LIFECYCLE[REJECTION]] * times
        scenario = [*LIFECYCLE[:REJECTION], *rejected, *LIFECYCLE[REJECTION + 1 : TO_COMPLETION]]
        walk = self.scene.walk(scenario)
        self._visits = walk.steps()
        for _ in range(REJECTION + times):
            for check in failures(await anext(self._visits)):
                yield check
        self.places = {"{ticketId}": str(walk.ticket_id)}
        yield Check(f"{times} completions are refused")

    async def remedy(self) -> AsyncIterator[Check]:
        """Deliver what the job packet lists as missing, and complete."""
        async for visit in self._visits:
            for check in failures(visit):
                yield check
        yield Check("with the missing evidence the completion is accepted")
        yield await self.scene.cancel(self.places["{ticketId}"])


class IdempotencyConflict(Drill):
    """A client that keeps its key for another request."""

    alert = "IDEMPOTENCY_CONFLICT_SPIKE"
    signal = "idempotency_conflict_count"

    async def provoke(self, times: int) -> AsyncIterator[Check]:
        """Use one key for several bodies."""
        self._body = {
            "account_id": str(self.scene.chosen.demo_account_id),
            "site_id": str(self.scene.chosen.demo_site_id),
            "summary": "Drill: the first use of a key",
        }
        self.places = {"<key>": str(uuid4())}
        self._first = await self._create(self._body)
        yield answered("the first use of the key is accepted", self._first, httpx.codes.CREATED)
        for number in range(1, times + 1):
            answer = await self._create({**self._body, "summary": f"Drill: other body {number}"})
            yield answered(f"other body {number} is refused", answer, httpx.codes.CONFLICT)

    async def remedy(self) -> AsyncIterator[Check]:
        """Give each request its own key, and repeat the first one as it was."""
        again = await self._create(self._body)
        yield Check(
            "the first request still gets its answer",
            None if again.content == self._first.content else f"HTTP {again.status_code}",
        )
        other = {**self._body, "summary": "Drill: another request, another key"}
        fresh = await self.scene.send(Role.DISPATCHER, "/tickets", other)
        yield answered("a fresh key is accepted", fresh, httpx.codes.CREATED)
        for answer in (self._first, fresh):
            yield await self.scene.cancel(document_of(answer).get("id"))

    async def _create(self, body: Mapping[str, Any]) -> httpx.Response:
        key = self.places["<key>"]
        return await self.scene.send(Role.DISPATCHER, "/tickets", body, key)


class AuthPolicyFailure(Drill):
    """A caller at the wrong door."""

    alert = "AUTH_POLICY_FAILURE_SPIKE"
    signal = "auth_policy_rejection_count"

    async def provoke(self, times: int) -> AsyncIterator[Check]:
        """Call a tool with a role that may not."""
        for number in range(1, times + 1):
            answer = await self.scene.send(Role.TECHNICIAN, "/tickets", {})
            yield answered(f"refusal {number}", answer, httpx.codes.FORBIDDEN)

    async def remedy(self) -> AsyncIterator[Check]:
        """Give the step to a role that may."""
        answer = await self.scene.client.get("/tools", headers=self.scene.identity(Role.TECHNICIAN))
        tools = {tool["name"]: tool for tool in document_of(answer).get("tools", [])}
        roles = tools.get("ticket.create", {}).get("roles", [])
        named = Role.DISPATCHER in roles and Role.TECHNICIAN not in roles
        yield Check("/tools names the roles of the tool", None if named else f"roles {roles}")
        allowed = await self.scene.send(Role.DISPATCHER, "/tickets", {})
        yield answered("an allowed role is heard", allowed, httpx.codes.BAD_REQUEST)


DRILLS: Final = (StuckScheduling, CompletionRejection, IdempotencyConflict, AuthPolicyFailure)


def failures(visit: Visit) -> list[Check]:
    """Return the expectations of a step that did not hold."""
    broken = [check for check in visit.checks if check.failure is not None]
    return [Check(f"{visit.step.tool}: {check.name}", check.failure) for check in broken]


def answered(name: str, answer: httpx.Response, status: int) -> Check:
    """Return the expectation that an answer has a status."""
    if answer.status_code == status:
        return Check(name)
    error = document_of(answer).get("error") or {}
    return Check(name, f"HTTP {answer.status_code} {error.get('code', '')} instead of {status}")
