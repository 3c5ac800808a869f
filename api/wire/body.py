"""Reading a request body, up to the limit of contract 2.1."""

from typing import Final

from starlette.requests import ClientDisconnect, Request

from api.wire.errors import InvalidJsonError, PayloadTooLargeError

BODY_LIMIT_BYTES: Final = 1_048_576
MOST_DIGITS: Final = 20


async def read_body(request: Request, limit: int = BODY_LIMIT_BYTES) -> bytes:
    """Return the whole body, or raise `PayloadTooLargeError` as soon as it exceeds `limit`.

    Raises `InvalidJsonError` if the caller leaves before its end.
    """
    declared = request.headers.get("content-length", "")
    if declared.isdecimal() and (len(declared) > MOST_DIGITS or int(declared) > limit):
        raise PayloadTooLargeError(limit_bytes=limit)
    chunks: list[bytes] = []
    size = 0
    try:
        async for chunk in request.stream():
            size += len(chunk)
            if size > limit:
                raise PayloadTooLargeError(limit_bytes=limit)
            chunks.append(chunk)
    except ClientDisconnect:  # nobody reads the answer, but the log tells what came
        raise InvalidJsonError("The body ended before it was complete.") from None
    return b"".join(chunks)
