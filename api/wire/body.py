"""Reading a request body, up to the limit of contract 2.1."""

from typing import Final

from starlette.requests import Request

from api.wire.errors import PayloadTooLargeError

BODY_LIMIT_BYTES: Final = 1_048_576


async def read_body(request: Request, limit: int = BODY_LIMIT_BYTES) -> bytes:
    """Return the whole body, or raise `PayloadTooLargeError` as soon as it exceeds `limit`."""
    declared = request.headers.get("content-length", "")
    if declared.isdecimal() and int(declared) > limit:
        raise PayloadTooLargeError(limit_bytes=limit)
    chunks: list[bytes] = []
    size = 0
    async for chunk in request.stream():
        size += len(chunk)
        if size > limit:
            raise PayloadTooLargeError(limit_bytes=limit)
        chunks.append(chunk)
    return b"".join(chunks)
