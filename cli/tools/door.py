"""One request to the gateway, by the standard library: an HTTP client takes too long to import."""

from collections.abc import Mapping
from http.client import HTTPConnection, HTTPException, HTTPResponse, HTTPSConnection
from typing import Final, NamedTuple
from urllib.request import (
    HTTPHandler,
    HTTPSHandler,
    OpenerDirector,
    ProxyHandler,
    Request,
    UnknownHandler,
)

CONNECT_SECONDS: Final = 5.0
ANSWER_SECONDS: Final = 75.0


class NoAnswerError(Exception):
    """Nothing came back; the text says why."""


class Answer(NamedTuple):
    """What the gateway answered; the names of `headers` are in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class _Patient(HTTPConnection):
    def connect(self) -> None:
        """Connect within the short limit, and then wait for the answer within the long one."""
        super().connect()
        self.sock.settimeout(ANSWER_SECONDS)


class _PatientTls(HTTPSConnection):
    def connect(self) -> None:
        """Connect within the short limit, and then wait for the answer within the long one."""
        super().connect()
        self.sock.settimeout(ANSWER_SECONDS)


class _Http(HTTPHandler):
    def http_open(self, req: Request) -> HTTPResponse:
        return self.do_open(_Patient, req)


class _Https(HTTPSHandler):
    def https_open(self, req: Request) -> HTTPResponse:
        return self.do_open(_PatientTls, req)


def post(url: str, body: bytes, headers: Mapping[str, str]) -> Answer:
    """Return the answer to a POST, whatever its status; no redirection is followed.

    Proxies are those of the environment. Raises `NoAnswerError`.
    """
    opener = OpenerDirector()
    for handler in (ProxyHandler(), UnknownHandler(), _Http(), _Https()):
        opener.add_handler(handler)
    try:
        request = Request(url, body, dict(headers), method="POST")  # noqa: S310  http and https alone
        with opener.open(request, timeout=CONNECT_SECONDS) as answer:
            found = {name.lower(): value for name, value in answer.headers.items()}
            return Answer(answer.status, found, answer.read())
    except (OSError, HTTPException, ValueError) as failure:
        raise NoAnswerError(str(failure) or type(failure).__name__) from None
