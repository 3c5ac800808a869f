"""Performing one tool call from the terminal: the request, the answer, the exit code."""

from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, NoReturn

import httpx
import orjson
import typer

from cli.output import Exit, Terminal, failed, say, tell_json
from cli.tools.cards import card
from policy.command.registry import alias
from policy.printable import on_one_line
from policy.reads.guide import load_guide

CONNECT_SECONDS = 5.0
ANSWER_SECONDS = 75.0
DENIED = frozenset({HTTPStatus.FORBIDDEN, HTTPStatus.CONFLICT})
# What a refusal always carries, told apart from what is special about it.
COMMON = frozenset({"code", "message", "request_id", "correlation_id", "policy_error"})


@dataclass(frozen=True)
class ToolCall:
    """One call of `POST /tools/{name}`."""

    name: str
    body: Mapping[str, Any]
    identity: Mapping[str, str]
    wait_seconds: int | None = None

    @property
    def key(self) -> str | None:
        """The idempotency key of a command."""
        key = self.body.get("request_id")
        return None if key is None else str(key)

    def send(self, api_url: str) -> httpx.Response:
        """Return the gateway's answer."""
        timeout = httpx.Timeout(ANSWER_SECONDS, connect=CONNECT_SECONDS)
        headers = dict(self.identity)
        if self.wait_seconds is not None:
            headers["Prefer"] = f"wait={self.wait_seconds}"
        with httpx.Client(base_url=api_url, timeout=timeout, headers=headers) as client:
            return client.post(
                f"/tools/{alias(self.name)}",
                content=orjson.dumps(self.body),
                headers={"Content-Type": "application/json"},
            )


def perform(call: ToolCall, api_url: str, *, as_json: bool) -> None:
    """Make a call and print its answer; end with the exit code that it means."""
    if call.key is not None:
        say(f"key: {call.key}")
    try:
        answer = call.send(api_url)
    except httpx.TransportError as failure:
        said = f"no answer from {api_url}: {failure or type(failure).__name__}"
        again = (
            "" if call.key is None else f"\nIt may have taken effect: repeat with {_again(call)}"
        )
        raise failed(said + again) from None
    document = _document(answer)
    if answer.is_error:
        _refuse(answer, document, as_json=as_json)
    if as_json:
        tell_json(document.get("data", document))
    elif answer.status_code != HTTPStatus.ACCEPTED:
        if "idempotency-replayed" in answer.headers:
            say("answered before: nothing was done by this call")
        Terminal().print(card(call.name, document.get("data", document)))
    if answer.status_code == HTTPStatus.ACCEPTED:
        say(f"accepted, not decided yet: repeat with {_again(call)} to see the outcome")
        raise typer.Exit(Exit.FAILED)


def _again(call: ToolCall) -> str:
    return f"--key {call.key}"


def _refuse(answer: httpx.Response, document: Mapping[str, Any], *, as_json: bool) -> NoReturn:
    denied = answer.status_code in DENIED
    if as_json:
        tell_json(document)
    for line in refusal_lines(answer.status_code, document.get("error", {})):
        say(on_one_line(line))
    raise typer.Exit(Exit.DENIED if denied else Exit.FAILED)


def refusal_lines(status: int, error: Mapping[str, Any]) -> list[str]:
    """Return why a call was refused, what is missing, and what to do, line by line."""
    code = str(error.get("code", f"HTTP_{status}"))
    dimension = (error.get("policy_error") or {}).get("dimension")
    kind = "DENIED" if status in DENIED else "FAILED"
    lines = [f"{kind} {status} {code}" + (f" ({dimension})" if dimension else "")]
    lines.append(str(error.get("message", "")))
    lines += [
        f"  {name}: {_plain(value)}"
        for name, value in error.items()
        if name not in COMMON and value not in (None, [], {})
    ]
    advice = load_guide().advice.get(code)
    return [*lines, *([f"What to do: {advice}"] if advice else [])]


def _plain(value: Any) -> str:  # noqa: ANN401  any JSON value
    match value:
        case str() | int() | float():
            return str(value)
        case list() if all(isinstance(each, str) for each in value):
            return ", ".join(value)
        case _:
            return orjson.dumps(value).decode()


def _document(answer: httpx.Response) -> dict[str, Any]:
    try:
        document = answer.json()
    except (ValueError, RecursionError):
        return {}
    return document if isinstance(document, dict) else {}
