"""The one pipeline of every command: the checks of contract 3.1, in their order."""

import asyncio
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import partial
from typing import Any
from uuid import UUID, uuid4

import structlog
from starlette.datastructures import Headers

from api.command.address import Address
from api.command.bus import Bus, Check
from api.command.call import Call, Found
from api.command.ignored import naming_ignored
from api.command.limits import RateLimiter
from api.command.outcomes import Answered, Outcomes
from api.identity.authenticator import Authenticator
from api.identity.identity import Identity
from api.wire.answers import Answer, json_answer
from api.wire.errors import ApiError, headers_of
from api.wire.request_log import RequestLog
from contracts.command import SignedCommand, command_id
from policy.codes import Code
from policy.command.decide import role_denial
from policy.command.effects import Denial
from policy.command.message import Command, Subject, request_hash
from policy.command.payload import parse_payload
from policy.model import Actor
from policy.rules.bundle import Bundle
from policy.values import PayloadModel
from runtime.postgres.pool import DATABASE_FAULTS
from runtime.settings import Settings

log = structlog.get_logger()


class Pipeline:
    """Judges a call as far as the gateway may, hands it to the engine and waits for its outcome."""

    def __init__(  # noqa: PLR0913, PLR0917  one argument for each thing that it asks
        self,
        bundle: Bundle,
        authenticator: Authenticator,
        bus: Bus,
        outcomes: Outcomes,
        addresses: Mapping[str, Address],
        settings: Settings,
    ) -> None:
        self._bundle = bundle
        self._authenticator = authenticator
        self._bus = bus
        self._outcomes = outcomes
        self._addresses = addresses
        self._wait_seconds = settings.command_wait_seconds
        self._limiter = RateLimiter(settings)

    async def identify(self, headers: Headers, request_log: RequestLog) -> Identity:
        """Return who calls, or raise the error of an unknown caller (step 3)."""
        identity = await self._authenticator.authenticate(headers)
        request_log.identify(
            actor_id=identity.actor_id,
            actor_type=identity.actor_type,
            actor_role=identity.actor_role,
            tenant_id=identity.tenant_id,
            automated=identity.automated,
        )
        return identity

    async def admit(self, call: Call) -> Actor:
        """Return the actor of a call, or raise: identity, role, tool name, scope (steps 3, 4).

        A read is counted here; a command only when it turns out not to be a repeat.
        """
        identity = await self.identify(call.headers, call.request_log)
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
            identity = await self.identify(call.headers, call.request_log)
            await self._refuse(call, unscoped(identity), denial)
        return refusal(denial)

    async def command(self, call: Call) -> Answer:
        """Answer a command (steps 3 to 12)."""
        try:
            return naming_ignored(await self._command(call), call)
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
        subject = await self._subject(call, actor, key, found, joins=open_hash is not None)
        if isinstance(subject, Denial):
            await self._refuse(call, actor, subject)
            raise refusal(subject)
        identity = command_id(actor, call.rule.route, key, digest, found.rejections)
        command = self._command_of(call, actor, digest, identity, subject.fields)
        judge_again = None if found.state is None else partial(self._judge_again, call, command)
        return await self._run(command, digest, call, judge_again)

    async def _subject(
        self, call: Call, actor: Actor, key: UUID, found: Found, *, joins: bool
    ) -> Subject | Denial:
        """Return what a command is about, or why it is refused; one that joins was admitted."""
        if joins:
            asked = parse_payload(self._bundle, call.tool, call.body)
        else:
            asked = await self._asked(call, actor, found)
        if isinstance(asked, Denial):
            return asked
        denial = None if joins else self._limit(call, actor)
        return denial or self._addresses[call.rule.subject].subject_of(call, actor, key, asked)

    async def _asked(self, call: Call, actor: Actor, found: Found) -> PayloadModel | Denial:
        """Return what a call asks for, or why it is refused (steps 7 to 9)."""
        payload = parse_payload(self._bundle, call.tool, call.body)
        if isinstance(payload, Denial):
            return payload
        address = self._addresses[call.rule.subject]
        return await address.denial(call, actor, found, payload) or payload

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
        if found.idem_hash != digest:
            denial = Denial(code=Code.IDEMPOTENCY_PAYLOAD_MISMATCH)
            await self._refuse(call, actor, denial)
            raise refusal(denial)
        call.request_log.replay = True
        headers = {"Idempotency-Replayed": "true"}
        if found.idem_command is not None:
            call.request_log.command_id = found.idem_command
        return Answer(found.idem_code or 0, (found.idem_text or "").encode(), headers)

    def _limit(self, call: Call, actor: Actor) -> Denial | None:
        ticket_id = call.ticket_id if call.rule.mutating else None
        return self._limiter.spend(actor, call.tool, ticket_id)

    async def _judge_again(self, call: Call, command: Command) -> None:
        """Refuse a command whose subject has come to its end since it was looked up.

        One that somebody was promised is for the engine to decide.
        """
        actor, key, digest = command.actor, UUID(command.request_id), command.request_hash
        found = await self._bus.look_up(actor, call.rule.route, key, digest, call.ticket_id)
        if found.open_hash is not None or found.idem_hash is not None:
            return
        asked = await self._asked(call, actor, found)
        if isinstance(asked, Denial):
            await self._refuse(call, actor, asked)
            raise refusal(asked)

    async def _run(
        self, command: Command, digest: str, call: Call, judge_again: Check | None
    ) -> Answer:
        call.request_log.command_id = command.command_id
        seconds = call.context.wait_seconds
        limit = self._wait_seconds if seconds is None else seconds
        applied = {} if seconds is None else {"Preference-Applied": f"wait={seconds}"}
        with self._outcomes.expect(command) as future:
            sent = await self._bus.send(command, judge_again)
            try:
                async with asyncio.timeout(limit):
                    outcome = await future
            except TimeoutError:
                return await self._accepted(sent, applied)
        if outcome is None:  # decided under another command of the same key
            key = UUID(command.request_id)
            endpoint, ticket_id = call.rule.route, call.ticket_id
            found = await self._bus.look_up(command.actor, endpoint, key, digest, ticket_id)
            if found.idem_hash is None:
                return await self._accepted(sent, applied)
            return await self._repeat(call, command.actor, found, digest)
        return answer_of(outcome, applied)

    async def _accepted(self, sent: SignedCommand, headers: dict[str, str]) -> Answer:
        """Answer 202 once it is certain that the command will be decided."""
        await self._bus.promise(sent)
        return accepted(sent.command, headers)

    async def _refuse(self, call: Call, actor: Actor, denial: Denial) -> None:
        """Log a refusal; without a hash, so that it does not count among those of the key.

        A refusal is counted like any call. Beyond the limit it leaves no row: raises the 429.
        """
        if (limited := self._limit(call, actor)) is not None:
            raise refusal(limited)
        command = self._command_of(call, actor, "", uuid4(), {"ticket_id": call.ticket_id})
        try:
            await self._bus.log_denial(command, denial)
            call.request_log.command_id = command.command_id
        except DATABASE_FAULTS:
            log.warning("denial.not_logged", code=denial.code, tool=call.tool)

    def _command_of(
        self, call: Call, actor: Actor, digest: str, identity: UUID, about: Mapping[str, Any]
    ) -> Command:
        """Return the command of a call; `about` are the fields that say what it is about."""
        return Command(
            command_id=identity,
            tool=call.tool,
            endpoint=call.rule.route,
            actor=actor,
            request_id=call.context.request_id or "",
            request_hash=digest,
            payload=call.body if isinstance(call.body, dict) else {},
            automated=call.request_log.automated,
            correlation_id=call.context.correlation_id,
            trace_id=call.context.trace.trace_id,
            submitted_at=datetime.now(UTC),
            **about,
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


def answer_of(outcome: Answered, headers: dict[str, str]) -> Answer:
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
