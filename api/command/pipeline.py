"""The one pipeline of every command: the checks of contract 3.1, in their order."""

import asyncio
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

import structlog
from starlette.datastructures import Headers

from api.command.bus import Bus, Found
from api.command.limits import RateLimiter
from api.command.outcomes import Outcome, Outcomes
from api.identity.authenticator import Authenticator
from api.identity.identity import Identity
from api.wire.answers import Answer, json_answer
from api.wire.context import RequestContext
from api.wire.errors import ApiError, headers_of
from api.wire.request_log import Trail
from contracts.command import command_id
from contracts.ticket import new_ticket_id
from policy.codes import Code
from policy.command.access import scope_denial
from policy.command.decide import role_denial
from policy.command.effects import Denial
from policy.command.message import Command, request_hash
from policy.command.payload import parse_payload
from policy.model import Actor
from policy.rules.bundle import Bundle, ToolRule
from policy.values import PayloadModel
from runtime.postgres.pool import DATABASE_FAULTS
from runtime.settings import Settings

log = structlog.get_logger()


@dataclass(frozen=True)
class Call:
    """One tool call: what the route or `POST /tools/{name}` makes of a request."""

    tool: str
    rule: ToolRule
    ticket_id: UUID | None
    body: Any
    context: RequestContext
    headers: Headers
    trail: Trail

    @property
    def path(self) -> dict[str, str]:
        """The path parameters, as they are hashed."""
        return {"ticketId": str(self.ticket_id)} if self.rule.requires_ticket_id else {}


class Pipeline:
    """Judges a call as far as the gateway may, hands it to the engine and waits for its outcome."""

    def __init__(
        self,
        bundle: Bundle,
        authenticator: Authenticator,
        bus: Bus,
        outcomes: Outcomes,
        settings: Settings,
    ) -> None:
        self._bundle = bundle
        self._authenticator = authenticator
        self._bus = bus
        self._outcomes = outcomes
        self._wait_seconds = settings.command_wait_seconds
        self._limiter = RateLimiter(settings)

    async def identify(self, headers: Headers, trail: Trail) -> Identity:
        """Return who calls, or raise the error of an unknown caller (step 3)."""
        identity = await self._authenticator.authenticate(headers)
        trail.identify(identity)
        return identity

    async def admit(self, call: Call) -> Actor:
        """Return the actor of a call, or raise: identity, role, tool name, scope (steps 3, 4).

        A read is counted here; a command only when it turns out not to be a repeat.
        """
        identity = await self.identify(call.headers, call.trail)
        denial = self._admission_denial(call, identity)
        if denial is not None:
            if call.rule.mutating:
                await self._refuse(call, unscoped(identity), denial)
            raise refusal(denial)
        if not call.rule.mutating and (denial := self._limit(call, identity.actor)) is not None:
            raise refusal(denial)
        return identity.actor

    async def refused(self, call: Call, denial: Denial) -> ApiError:
        """Return the error of a call that its caller's own checks refuse, once it is logged."""
        if call.rule.mutating:
            identity = await self.identify(call.headers, call.trail)
            await self._refuse(call, unscoped(identity), denial)
        return refusal(denial)

    async def command(self, call: Call) -> Answer:
        """Answer a command (steps 3 to 12)."""
        try:
            return await self._command(call)
        except DATABASE_FAULTS as error:
            log.warning("database.unavailable", reason=str(error))
            raise ApiError(Code.DATABASE_UNAVAILABLE) from error

    async def _command(self, call: Call) -> Answer:
        actor = await self.admit(call)
        try:
            key = UUID(call.context.require_key())
        except ApiError as error:
            await self._refuse(call, actor, Denial(code=error.code))
            raise
        digest = request_hash(call.body, call.path)
        found = await self._bus.look_up(actor, call.rule.route, key, digest, call.ticket_id)
        use = (actor.tenant_id, actor.actor_id, call.rule.route, key)
        open_hash = found.open_hash or self._outcomes.running_hash(use)
        if found.idem_hash is not None or open_hash not in {None, digest}:
            return await self._repeat(call, actor, found, digest)
        denial = None if open_hash else await self._denial(call, actor, found)
        if denial is not None:
            await self._refuse(call, actor, denial)
            raise refusal(denial)
        command = self._command_of(call, actor, key, digest, found.rejections)
        return await self._run(command, digest, call, expect_workflow=found.state is not None)

    def _admission_denial(self, call: Call, identity: Identity) -> Denial | None:
        if identity.actor_role not in call.rule.roles:
            return role_denial(self._bundle, call.tool, identity.actor_role)
        named = call.context.tool_name
        if named is not None and named != call.tool:
            details = {"endpoint": call.rule.route, "tool_name": named}
            return Denial(code=Code.TOOL_NOT_ALLOWED, details=details)
        return None

    async def _repeat(self, call: Call, actor: Actor, found: Found, digest: str) -> Answer:
        """Answer a key that was used before: with its stored answer, or refuse its misuse."""
        if found.idem_hash != digest or found.idem_tenant != actor.tenant_id:
            denial = Denial(code=Code.IDEMPOTENCY_PAYLOAD_MISMATCH)
            await self._refuse(call, actor, denial)
            raise refusal(denial)
        call.trail.replay = True
        headers = {"Idempotency-Replayed": "true"}
        if found.idem_command is not None:
            call.trail.command_id = found.idem_command
        return Answer(found.idem_code or 0, (found.idem_text or "").encode(), headers)

    def _limit(self, call: Call, actor: Actor) -> Denial | None:
        ticket_id = call.ticket_id if call.rule.mutating else None
        return self._limiter.spend(actor, call.tool, ticket_id)

    async def _denial(self, call: Call, actor: Actor, found: Found) -> Denial | None:
        """Return why a new command is refused; the engine judges that of a ticket to come."""
        denial = self._payload_denial(call, actor, found)
        if denial is not None and denial.code is Code.TICKET_NOT_FOUND:
            denial = None if await self._bus.is_to_come(actor, call.ticket_id) else denial
        return denial or self._limit(call, actor)

    def _payload_denial(self, call: Call, actor: Actor, found: Found) -> Denial | None:
        payload = parse_payload(self._bundle, call.tool, call.body)
        return payload if isinstance(payload, Denial) else self._place(call, actor, found, payload)

    def _place(
        self, call: Call, actor: Actor, found: Found, payload: PayloadModel
    ) -> Denial | None:
        """Return why the ticket, or the place of a new one, is out of reach (steps 8 and 9)."""
        if not call.rule.requires_ticket_id:
            account_id = getattr(payload, "account_id", None)
            site_id = getattr(payload, "site_id", None)
            return scope_denial(actor, account_id, site_id) if account_id and site_id else None
        if found.account_id is None or found.site_id is None:
            return Denial(code=Code.TICKET_NOT_FOUND)
        return scope_denial(actor, found.account_id, found.site_id)

    async def _run(
        self, command: Command, digest: str, call: Call, *, expect_workflow: bool
    ) -> Answer:
        call.trail.command_id = command.command_id
        seconds = call.context.wait_seconds
        limit = self._wait_seconds if seconds is None else seconds
        applied = {} if seconds is None else {"Preference-Applied": f"wait={seconds}"}
        with self._outcomes.expect(command) as future:
            try:
                await self._bus.send(command, expect_workflow=expect_workflow)
            except ApiError:
                await self._bus.log_open(command)
                raise
            try:
                async with asyncio.timeout(limit):
                    outcome = await future
            except TimeoutError:
                await self._bus.log_open(command)
                return accepted(command, applied)
        if outcome is None:  # decided under another command of the same key
            key = UUID(command.request_id)
            endpoint, ticket_id = call.rule.route, call.ticket_id
            found = await self._bus.look_up(command.actor, endpoint, key, digest, ticket_id)
            if found.idem_hash is None:
                return accepted(command, applied)
            return await self._repeat(call, command.actor, found, digest)
        return answer_of(outcome, applied)

    async def _refuse(self, call: Call, actor: Actor, denial: Denial) -> None:
        """Log a refusal; without a hash, so that it does not count among those of the key.

        A refusal is counted like any call. Beyond the limit it leaves no row: raises the 429.
        """
        if (limited := self._limit(call, actor)) is not None:
            raise refusal(limited)
        command = self._command_of(call, actor, None, "", 0)
        try:
            await self._bus.log_denial(command, denial)
            call.trail.command_id = command.command_id
        except DATABASE_FAULTS:
            log.warning("denial.not_logged", code=denial.code, tool=call.tool)

    def _command_of(
        self, call: Call, actor: Actor, key: UUID | None, digest: str, rejections: int
    ) -> Command:
        """Return the command of a call; one that is refused here has no key that counts."""
        endpoint, ticket_id, identity = call.rule.route, call.ticket_id, uuid4()
        if key is not None:
            identity = command_id(actor, endpoint, key, digest, rejections)
            if call.rule.creates_ticket:
                ticket_id = new_ticket_id(actor, endpoint, key)
        return Command(
            command_id=identity,
            tool=call.tool,
            endpoint=endpoint,
            actor=actor,
            ticket_id=ticket_id,
            request_id=call.context.request_id or "",
            request_hash=digest,
            payload=call.body if isinstance(call.body, dict) else {},
            automated=call.context.automated,
            correlation_id=call.context.correlation_id,
            trace_id=call.context.trace.trace_id,
            submitted_at=datetime.now(UTC),
        )


def refusal(denial: Denial) -> ApiError:
    """Return the error that answers a denial."""
    return ApiError(denial.code, message=denial.message, details=denial.details)


def unscoped(identity: Identity) -> Actor:
    """Return the actor for the log, with no scope: it was not read yet."""
    return Actor(
        actor_id=identity.actor_id,
        actor_role=identity.actor_role,
        actor_type=identity.actor_type,
        tenant_id=identity.tenant_id,
        account_ids=frozenset(),
        site_ids=frozenset(),
        technician_id=identity.technician_id,
    )


def answer_of(outcome: Outcome, headers: dict[str, str]) -> Answer:
    """Return the answer that an outcome holds."""
    headers = {**headers, **headers_of(outcome.status)}
    return Answer(outcome.status, outcome.text.encode(), headers, code=outcome.code)


def accepted(command: Command, headers: dict[str, str]) -> Answer:
    """Return 202: the command runs on, and its outcome can be fetched (contract 3.3)."""
    url = f"/commands/{command.command_id}"
    body = {
        "command_id": str(command.command_id),
        "ticket_id": None if command.ticket_id is None else str(command.ticket_id),
        "status": "accepted",
        "status_url": url,
    }
    return json_answer(202, body, {**headers, "Location": url, "Retry-After": "1"})
