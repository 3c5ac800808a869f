"""The types of settings: what a variable's text is checked against, and becomes (contract 18)."""

from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr

from runtime.environment import Algorithm, Mode, http_url, read_flag, read_mode, split_words


def _upper(value: object) -> object:
    return value.strip().upper() if isinstance(value, str) else value


def _lower_words(words: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(word.lower() for word in words)


def _postgres_url(value: SecretStr) -> SecretStr:
    if urlsplit(value.get_secret_value()).scheme not in {"postgres", "postgresql"}:
        raise ValueError("must be a postgres:// URL")
    return value


def _encodable(value: SecretStr) -> SecretStr:
    try:
        value.get_secret_value().encode()
    except UnicodeEncodeError:
        raise ValueError("must be UTF-8") from None
    return value


Flag = Annotated[bool, BeforeValidator(read_flag)]
Words = Annotated[tuple[str, ...], BeforeValidator(split_words), AfterValidator(_lower_words)]
Recipient = Annotated[str, Field(pattern=r"^[a-z_]+:sms:\+?[0-9A-Za-z ()./-]{3,40}$")]
Recipients = Annotated[tuple[Recipient, ...], BeforeValidator(split_words)]
Algorithms = Annotated[tuple[Algorithm, ...], BeforeValidator(split_words)]
AnyCase = BeforeValidator(_upper)
ModeName = Annotated[Mode, BeforeValidator(read_mode)]
HttpUrl = Annotated[str, AfterValidator(http_url)]
Secret = Annotated[SecretStr, AfterValidator(_encodable)]
PostgresUrl = Annotated[Secret, AfterValidator(_postgres_url)]
HostPort = Annotated[str, Field(pattern=r"^\S+:\d{1,5}$")]
ImportPath = Annotated[str, Field(pattern=r"^\w+(\.\w+)*:\w+$")]
Port = Annotated[int, Field(ge=0, le=65535)]
Percent = Annotated[int, Field(ge=0, le=100)]
Natural = Annotated[int, Field(ge=0)]
Positive = Annotated[int, Field(ge=1)]
