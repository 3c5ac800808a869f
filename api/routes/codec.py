"""The codec endpoint: shows encrypted payloads to operators in the Temporal UI.

It speaks Temporal's remote codec protocol, and exists only where payload keys are configured.
"""

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Annotated, Final

from google.protobuf.json_format import MessageToDict
from pydantic import Base64Bytes, BaseModel, JsonValue, ValidationError
from starlette.requests import Request
from temporalio.api.common.v1 import Payload

from api.gateway import gateway_of
from api.wire.answers import Answer, error_answer, json_answer
from api.wire.body import read_body
from api.wire.errors import ApiError
from api.wire.ijson import parse_body
from api.wire.serving import Handler, Route, request_log_of
from policy.codes import Code
from policy.command.payload import named_faults, pointer
from policy.model import Role
from policy.values import at_most
from runtime.settings import Settings
from runtime.temporal.codec import SealedPayloadError, key_ring

READERS: Final = (Role.ADMIN, Role.OPS)
PATHS: Final = ("/codec/decode", "/codec/encode")
OK, NO_CONTENT = 200, 204
MOST_PAYLOADS: Final = 10_000
PREFLIGHT: Final = {
    "Access-Control-Allow-Methods": "POST",
    "Access-Control-Allow-Headers": "authorization, content-type, x-namespace",
    "Access-Control-Max-Age": "600",
}


class _Payload(BaseModel):
    metadata: dict[str, Base64Bytes] = {}
    data: Base64Bytes = b""


class _Batch(BaseModel):
    payloads: Annotated[list[_Payload], at_most(MOST_PAYLOADS)] = []


def codec_routes(settings: Settings) -> Iterator[Route]:
    """Yield the routes, none if encryption is off; raises `ConfigurationError`."""
    ring = key_ring(settings)
    if ring is None:
        return
    origin = (settings.temporal_ui_origin or "").rstrip("/")

    def opened(payload: Payload) -> Payload:
        try:
            return ring.open(payload)
        except SealedPayloadError:  # the page still shows the others
            return payload

    for path, convert in zip(PATHS, (opened, ring.seal), strict=True):
        yield Route("POST", path, _converting(convert, origin))
        if origin:
            yield Route("OPTIONS", path, _preflight(origin))


def _converting(convert: Callable[[Payload], Payload], origin: str) -> Handler:
    async def handle(request: Request) -> Answer:
        request_log = request_log_of(request)
        try:
            answer = json_answer(OK, await _converted(request, convert))
        except ApiError as error:  # the page must be able to read this one too
            request_log.message = error.message
            answer = error_answer(error, request_log.context)
        return replace(answer, headers={**answer.headers, **_allowed(request, origin)})

    return handle


def _preflight(origin: str) -> Handler:
    async def handle(request: Request) -> Answer:
        allowed = _allowed(request, origin)
        return Answer(NO_CONTENT, b"", {**allowed, **PREFLIGHT} if allowed else {})

    return handle


async def _converted(request: Request, convert: Callable[[Payload], Payload]) -> object:
    body = parse_body(await read_body(request))
    await _admit(request)
    payloads = [convert(payload) for payload in _read(body)]
    return {"payloads": [MessageToDict(payload) for payload in payloads]}


async def _admit(request: Request) -> None:
    """Let operators through: the identity is established as everywhere."""
    identity = await gateway_of(request).pipeline.identify(request.headers, request_log_of(request))
    if identity.actor_role not in READERS:
        details = {"actor_role": identity.actor_role, "allowed_roles": list(READERS)}
        raise ApiError(Code.FORBIDDEN, details=details)


def _read(body: JsonValue) -> list[Payload]:
    try:
        batch = _Batch.model_validate(body)
    except ValidationError as error:
        faults = [
            (pointer(*fault["loc"]), fault["msg"])
            for fault in error.errors(include_url=False, include_input=False, include_context=False)
        ]
        raise ApiError(Code.INVALID_REQUEST, details=named_faults(faults)) from None
    return [Payload(metadata=each.metadata, data=each.data) for each in batch.payloads]


def _allowed(request: Request, origin: str) -> dict[str, str]:
    """Return the header that lets the UI's page read the answer, and no other page."""
    if not origin or request.headers.get("origin") != origin:
        return {}
    return {"Access-Control-Allow-Origin": origin, "Vary": "Origin"}
