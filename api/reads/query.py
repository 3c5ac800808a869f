"""Queries of the reads: the parameters each one has, and how their texts are understood."""

import base64
import binascii
import json
from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeVar
from uuid import UUID

import orjson
from starlette.datastructures import QueryParams

from api.wire.errors import ApiError
from policy.codes import Code
from policy.reads.parameters import PAGE_LIMIT
from policy.values import parse_uuid

T = TypeVar("T")


class Query:
    """The query of one read. Every method raises the 400 of a value it cannot understand."""

    def __init__(self, params: QueryParams) -> None:
        for name, text in params.multi_items():
            if "\0" in name or "\0" in text:
                raise invalid_query(name.replace("\0", ""))
        self._params = params

    def words(self, name: str) -> tuple[str, ...]:
        """Return the trimmed values of a repeatable comma list, without repeats."""
        texts = ",".join(self._params.getlist(name)).split(",")
        return tuple(dict.fromkeys(text.strip() for text in texts if text.strip()))

    def choices(self, name: str, allowed: Iterable[T]) -> tuple[T, ...]:
        """Return the values of a list whose words, in any case, are `allowed`."""
        known = {str(each).upper(): each for each in allowed}
        try:
            return tuple(dict.fromkeys(known[word.upper()] for word in self.words(name)))
        except KeyError:
            raise invalid_query(name) from None

    def uuids(self, name: str) -> tuple[UUID, ...]:
        """Return the values of a list of ids."""
        return tuple(dict.fromkeys(read(name, parse_uuid, word) for word in self.words(name)))

    def ticket_id(self) -> UUID | None:
        """Return the one ticket id, if there is one."""
        words = self._params.getlist("ticket_id")
        if not any(word.strip() for word in words):
            return None
        try:
            return parse_uuid(words[0].strip() if len(words) == 1 else None)
        except ValueError:
            raise ApiError(Code.INVALID_TICKET_ID) from None

    def text(self, name: str) -> str | None:
        """Return the one trimmed value, None if there is none or it is blank."""
        return (self._one(name) or "").strip() or None

    def limit(self, default: int) -> int:
        """Return the size of a page."""
        text = self._one("limit")
        if text is None:
            return default
        digits = text.strip()
        fits = digits.isascii() and digits.isdecimal() and len(digits) <= len(str(PAGE_LIMIT))
        if not fits or not 1 <= int(digits) <= PAGE_LIMIT:
            raise invalid_query("limit")
        return int(digits)

    def cursor(self) -> Mapping[str, Any] | None:
        """Return the position that a cursor holds."""
        text = self._one("cursor")
        return None if text is None else decoded(text.strip())

    def _one(self, name: str) -> str | None:
        texts = self._params.getlist(name)
        if len(texts) > 1:
            raise invalid_query(name)
        return texts[0] if texts else None


def query_of_payload(payload: Mapping[str, object]) -> QueryParams:
    """Return the query that the payload of a tool call stands for (contract 11)."""
    return QueryParams(
        [
            (name, _text(each))
            for name, member in payload.items()
            for each in (member if isinstance(member, list) else [member])
            if each is not None
        ]
    )


def _text(value: object) -> str:
    if isinstance(value, float) and value.is_integer():
        value = int(value)  # 12.0 counts as 12
    return value if isinstance(value, str) else json.dumps(value)


def encoded(position: Mapping[str, object] | None) -> str | None:
    """Return an opaque cursor of a position, None at the end."""
    if position is None:
        return None
    return base64.urlsafe_b64encode(orjson.dumps(position)).decode().rstrip("=")


def decoded(cursor: str) -> Mapping[str, Any]:
    """Return the position of a cursor, or raise 400 INVALID_QUERY."""
    try:
        raw = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
        position = orjson.loads(raw)
    except (ValueError, binascii.Error):
        raise invalid_query("cursor") from None
    if not isinstance(position, dict):
        raise invalid_query("cursor")
    return position


def read(parameter: str, parse: Callable[[object], T], value: object) -> T:
    """Return `parse(value)`, or raise 400 INVALID_QUERY for `parameter`."""
    try:
        return parse(value)
    except (KeyError, TypeError, ValueError, OverflowError):
        raise invalid_query(parameter) from None


def invalid_query(parameter: str) -> ApiError:
    """Return 400 INVALID_QUERY for a parameter."""
    return ApiError(Code.INVALID_QUERY, details={"parameter": parameter})
