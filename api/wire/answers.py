"""Answers: what the gateway sends back, as bytes that are never serialised twice."""

from dataclasses import dataclass, field

import orjson
from starlette.responses import Response

from api.wire.context import RequestContext
from api.wire.errors import ApiError

MEDIA_TYPE = "application/json; charset=utf-8"


@dataclass(frozen=True)
class Answer:
    """One answer to a tool call: the stored body as it is, and the headers that go with it."""

    status: int
    content: bytes
    headers: dict[str, str] = field(default_factory=dict)
    code: str | None = None

    @property
    def succeeded(self) -> bool:
        """Whether the command took effect."""
        return self.code is None

    @property
    def message(self) -> str:
        """The message of an error envelope."""
        return str(orjson.loads(self.content)["error"]["message"])

    def response(self) -> Response:
        """Return the HTTP response."""
        return Response(
            self.content, self.status, headers=dict(self.headers), media_type=MEDIA_TYPE
        )


def json_answer(status: int, body: object, headers: dict[str, str] | None = None) -> Answer:
    """Return an answer with `body` as JSON, its keys in the order given."""
    return Answer(status, orjson.dumps(body), headers or {})


def error_answer(error: ApiError, context: RequestContext) -> Answer:
    """Return the envelope of an error."""
    body = error.body(request_id=context.request_id, correlation_id=context.correlation_id)
    return Answer(error.status, orjson.dumps(body), error.headers, code=error.code)
