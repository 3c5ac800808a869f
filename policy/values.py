"""The contract's value types (1.1), as pydantic annotations with their JSON Schema."""

import re
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from typing import Annotated, Any, Self
from uuid import UUID

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainValidator,
    WithJsonSchema,
    model_validator,
)

from policy.json_levels import SAFE_INTEGER

TEXT_LIMIT = 10_000
NAME_LIMIT = 200
REFERENCE_LIMIT = 1000
_UUID = re.compile(r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}", re.ASCII)
_DATETIME = re.compile(
    r"(\d{4}-\d\d-\d\d)[Tt](\d\d:\d\d:\d\d)(\.\d+)?([Zz]|[+-]\d\d:\d\d)?", re.ASCII
)
_DATE = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)


class PayloadModel(BaseModel):
    """Base of every payload: extra keys are accepted and ignored (contract 1.1)."""

    model_config = ConfigDict(frozen=True, extra="ignore")


class ClosedPayload(PayloadModel):
    """Base of the payloads that the contract calls closed: an extra key is a fault."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class EmptyPayload(PayloadModel):
    """Any object will do; no key has a meaning."""


def parse_uuid(value: object) -> UUID:
    """Return the UUID of a 36-character text, any case and version, or raise ValueError."""
    if isinstance(value, UUID):
        return value
    if not isinstance(value, str) or _UUID.fullmatch(value) is None:
        raise ValueError("must be a UUID of 36 characters")
    return UUID(value)


def parse_datetime(value: object) -> datetime:
    """Return an RFC 3339 date-time as aware UTC; without an offset it is UTC."""
    if isinstance(value, datetime):
        return value.astimezone(UTC)
    match = _DATETIME.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        raise ValueError("must be an RFC 3339 date-time")
    day, clock, fraction, offset = match.groups()
    zone = "+00:00" if offset in {None, "Z", "z"} else offset
    try:
        if re.fullmatch(r"[+-](?:[01]\d|2[0-3]):[0-5]\d", zone) is None:
            raise ValueError(zone)  # noqa: TRY301  one message for every unreadable part
        moment = datetime.fromisoformat(f"{day}T{clock}{(fraction or '.0')[:7]:0<7}{zone}")
        moment = moment.astimezone(UTC)
    except (ValueError, OverflowError):
        raise ValueError("must be a date-time that exists") from None
    if int(day[:4]) < 1970 or moment.year < 1970:  # noqa: PLR2004  the contract's first year
        raise ValueError("must lie in the years 1970 to 9999")
    return moment


def format_datetime(moment: datetime) -> str:
    """Return the answer form: UTC, cut off after milliseconds."""
    utc = moment.astimezone(UTC).replace(tzinfo=None)
    return f"{utc.isoformat(timespec='milliseconds')}Z"


def later(moment: datetime, span: timedelta) -> datetime:
    """Return `moment` plus `span`, or the last moment of the calendar if that lies beyond it."""
    try:
        return moment + span
    except OverflowError:
        return datetime.max.replace(tzinfo=UTC)


def truncate_to_milliseconds(moment: datetime) -> datetime:
    """Return `moment` cut off after milliseconds."""
    return moment - timedelta(microseconds=moment.microsecond % 1000)


def _text(limit: int, *, strip: bool = True) -> Callable[[object], str]:
    def parse(value: object) -> str:
        if not isinstance(value, str):
            raise ValueError("must be a string")  # noqa: TRY004  pydantic reports ValueError
        if not 1 <= len(value) <= limit or not value.strip():
            raise ValueError(f"must have 1 to {limit} characters and not be blank")
        return value.strip() if strip else value

    return parse


def _boolean(value: object) -> bool:
    if not isinstance(value, bool):
        raise ValueError("must be true or false")  # noqa: TRY004
    return value


def whole_number(low: int, high: int) -> Callable[[object], int]:
    """Return a validator of JSON numbers without a fraction in low..high; 12.0 counts as 12."""

    def parse(value: object) -> int:
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise ValueError("must be a number")  # noqa: TRY004
        if not low <= value <= high or value != int(value):
            raise ValueError(f"must be a whole number from {low} to {high}")
        return int(value)

    return parse


def _percent(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError("must be a number")  # noqa: TRY004
    if not 0 <= value <= 100:  # noqa: PLR2004  percent
        raise ValueError("must be a number from 0 to 100")
    return int(value)


def parse_date_or_datetime(value: object) -> datetime:
    """Return a date-time, or the start in UTC of a plain `YYYY-MM-DD` date."""
    if isinstance(value, str) and _DATE.fullmatch(value):
        try:
            return parse_datetime(f"{date.fromisoformat(value)}T00:00:00Z")
        except ValueError:
            raise ValueError("must be a date that exists, 1970 or later") from None
    return parse_datetime(value)


def _object(value: object) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise ValueError("must be an object")  # noqa: TRY004
    return value


def at_most(count: int) -> BeforeValidator:
    """Return a check of an array that refuses a longer one before its elements are looked at."""

    def check(value: object) -> object:
        if isinstance(value, list) and len(value) > count:
            raise ValueError(f"must have at most {count} elements")
        return value

    return BeforeValidator(check)


_TEXT_SCHEMA = {"type": "string", "minLength": 1, "maxLength": TEXT_LIMIT}
Uuid = Annotated[
    UUID, PlainValidator(parse_uuid), WithJsonSchema({"type": "string", "format": "uuid"})
]
Text = Annotated[str, PlainValidator(_text(TEXT_LIMIT)), WithJsonSchema(_TEXT_SCHEMA)]
TextAsSent = Annotated[
    str, PlainValidator(_text(TEXT_LIMIT, strip=False)), WithJsonSchema(_TEXT_SCHEMA)
]
Name = Annotated[
    str,
    PlainValidator(_text(NAME_LIMIT)),
    WithJsonSchema({"type": "string", "minLength": 1, "maxLength": NAME_LIMIT}),
]
Boolean = Annotated[bool, PlainValidator(_boolean), WithJsonSchema({"type": "boolean"})]
Cents = Annotated[
    int,
    PlainValidator(whole_number(0, SAFE_INTEGER)),
    WithJsonSchema({"type": "integer", "minimum": 0, "maximum": SAFE_INTEGER}),
]
Percent = Annotated[
    int,
    PlainValidator(_percent),
    WithJsonSchema({"type": "number", "minimum": 0, "maximum": 100}),
]
DateTime = Annotated[
    datetime,
    PlainValidator(parse_datetime),
    WithJsonSchema({"type": "string", "format": "date-time"}),
]
DateOrDateTime = Annotated[
    datetime,
    PlainValidator(parse_date_or_datetime),
    WithJsonSchema({"type": "string", "description": "RFC 3339 date-time or YYYY-MM-DD"}),
]
TextList = Annotated[tuple[Text, ...], Field(max_length=REFERENCE_LIMIT), at_most(REFERENCE_LIMIT)]
NameList = Annotated[tuple[Name, ...], Field(max_length=REFERENCE_LIMIT), at_most(REFERENCE_LIMIT)]
JsonObject = Annotated[dict[str, Any], PlainValidator(_object), WithJsonSchema({"type": "object"})]
BlankableText = Annotated[str, Field(strict=True)]


class Window(PayloadModel):
    """A span of time; the end is later than the start, also as it is answered."""

    start: DateTime
    end: DateTime

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if truncate_to_milliseconds(self.end) <= truncate_to_milliseconds(self.start):
            raise ValueError("end must be later than start, by a millisecond or more")
        return self

    def answer(self) -> dict[str, str]:
        """Return both ends in answer form."""
        return {"start": format_datetime(self.start), "end": format_datetime(self.end)}


def instant(moment: datetime | None) -> str | None:
    """Return the answer form of a moment that may be missing."""
    return None if moment is None else format_datetime(moment)


def identifier(value: object | None) -> str | None:
    """Return an id as text, or None."""
    return None if value is None else str(value)
