"""The SMS provider's way in: signed reports, instead of a caller's identity.

The routes exist only where DISPATCH_SMS_WEBHOOK_SECRET is configured.
"""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import TypeVar

from pydantic import ValidationError
from starlette.requests import Request

from api.gateway import gateway_of
from api.sms import ACTOR_ID, InboundSms, SmsDesk, SmsStatus
from api.wire.answers import Answer, json_answer
from api.wire.body import read_body
from api.wire.errors import ApiError
from api.wire.ijson import parse_body
from api.wire.serving import Handler, Route, request_log_of
from contracts.standard_webhooks import check_secret, is_signed
from policy.codes import Code
from policy.command.payload import content_fault
from policy.model import ActorType, Role
from policy.values import PayloadModel
from runtime.environment import ConfigurationError
from runtime.postgres.pool import DATABASE_FAULTS
from runtime.settings import Settings

OK = 200
Report = TypeVar("Report", bound=PayloadModel)


def sms_routes(settings: Settings) -> Iterator[Route]:
    """Yield the routes; raises `ConfigurationError` for a secret that cannot be one."""
    if settings.sms_webhook_secret is None:
        return
    secret = settings.sms_webhook_secret.get_secret_value()
    try:
        check_secret(secret)
    except ValueError as error:
        raise ConfigurationError(f"DISPATCH_SMS_WEBHOOK_SECRET: {error}") from None
    yield Route("POST", "/webhooks/sms/inbound", _inbound(secret))
    yield Route("POST", "/webhooks/sms/status", _status(secret))


def _inbound(secret: str) -> Handler:
    async def handle(request: Request) -> Answer:
        sms = await _signed_report(request, secret, InboundSms)
        try:
            message_id = await _desk(request).receive(sms)
        except DATABASE_FAULTS as error:
            raise ApiError(Code.DATABASE_UNAVAILABLE) from error
        known = message_id is None
        body = {"status": "duplicate" if known else "received"}
        return json_answer(OK, body if known else {**body, "message_id": str(message_id)})

    return handle


def _status(secret: str) -> Handler:
    async def handle(request: Request) -> Answer:
        report = await _signed_report(request, secret, SmsStatus)
        try:
            found = await _desk(request).note_status(report)
        except DATABASE_FAULTS as error:
            raise ApiError(Code.DATABASE_UNAVAILABLE) from error
        if not found:
            named = {"provider_message_id": report.provider_message_id}
            raise ApiError(Code.OUTBOX_NOT_FOUND, details=named)
        return json_answer(OK, {"status": "noted"})

    return handle


def _desk(request: Request) -> SmsDesk:
    gateway = gateway_of(request)
    return SmsDesk(gateway.pool, gateway.bundle, gateway.settings.sms_webhook_tenant)


async def _signed_report(request: Request, secret: str, model: type[Report]) -> Report:
    raw = await read_body(request)
    if not is_signed([secret], request.headers, datetime.now(UTC), raw):
        message = "The webhook was not signed with the secret of this route, or too long ago."
        raise ApiError(Code.INVALID_AUTH_TOKEN, message=message)
    request_log = request_log_of(request)
    request_log.actor_type, request_log.actor_id = ActorType.SERVICE, ACTOR_ID
    request_log.actor_role = Role.SYSTEM
    body = parse_body(raw)
    fault = content_fault(body)
    if fault is not None:
        raise ApiError(Code.INVALID_REQUEST, message=f"The body {fault[1]}.")
    try:
        return model.model_validate(body)
    except ValidationError as error:
        fields = ", ".join(str(fault["loc"][0]) for fault in error.errors() if fault["loc"])
        raise ApiError(
            Code.INVALID_REQUEST, message=f"Not readable: {fields or 'the body'}."
        ) from None
