"""Performing one tool call from the terminal: the request, the answer, the exit code."""

from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, NoReturn

import orjson
import typer

from cli.output import Exit, failed, say, tell_json
from cli.terminal import Terminal
from cli.tools.cards import card
from cli.tools.door import Answer, NoAnswerError, post
from cli.tools.toolset import Tool, load_toolset
from policy.printable import on_one_line

DENIED = frozenset({HTTPStatus.FORBIDDEN, HTTPStatus.CONFLICT})
# What a refusal always carries, told apart from what is special about it.
COMMON = frozenset({"code", "message", "request_id", "correlation_id", "policy_error"})


@dataclass(frozen=True)
class ToolCall:
    """One call of `POST /tools/{name}`."""

    tool: Tool
    body: Mapping[str, Any]
    identity: Mapping[str, str]
    wait_seconds: int | None = None

    @property
    def key(self) -> str | None:
        """The idempotency key of a command."""
        key = self.body.get("request_id")
        return None if key is None else str(key)

    def send(self, api_url: str) -> Answer:
        """Return the gateway's answer; raises `NoAnswerError`."""
        headers = {**self.identity, "Content-Type": "application/json"}
        if self.wait_seconds is not None:
            headers["Prefer"] = f"wait={self.wait_seconds}"
        url = f"{api_url.rstrip('/')}/tools/{self.tool.alias}"
        return post(url, orjson.dumps(self.body), headers)


def perform(call: ToolCall, api_url: str, *, as_json: bool) -> None:
    """Make a call and print its answer; end with the exit code that it means."""
    if call.key is not None:
        say(f"key: {call.key}")
    try:
        answer = call.send(api_url)
    except NoAnswerError as failure:
        said = f"no answer from {api_url}: {failure}"
        again = (
            "" if call.key is None else f"\nIt may have taken effect: repeat with {_again(call)}"
        )
        raise failed(said + again) from None
    document = _document(answer)
    if answer.status >= HTTPStatus.BAD_REQUEST:
        _refuse(answer, document, as_json=as_json)
    if as_json:
        tell_json(document.get("data", document))
    elif answer.status != HTTPStatus.ACCEPTED:
        if "idempotency-replayed" in answer.headers:
            say("answered before: nothing was done by this call")
        Terminal().print(card(call.tool.name, document.get("data", document)))
    if answer.status == HTTPStatus.ACCEPTED:
        say(f"accepted, not decided yet: repeat with {_again(call)} to see the outcome")
        raise typer.Exit(Exit.FAILED)


def _again(call: ToolCall) -> str:
    return f"--key {call.key}"


def _refuse(answer: Answer, document: Mapping[str, Any], *, as_json: bool) -> NoReturn:
    denied = answer.status in DENIED
    if as_json:
        tell_json(document)
    for line in refusal_lines(answer.status, document.get("error", {})):
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
    advice = load_toolset().advice.get(code)
    return [*lines, *([f"What to do: {advice}"] if advice else [])]


def _plain(value: Any) -> str:  # noqa: ANN401  any JSON value
    match value:
        case str() | int() | float():
            return str(value)
        case list() if all(isinstance(each, str) for each in value):
            return ", ".join(value)
        case _:
            return orjson.dumps(value).decode()


def _document(answer: Answer) -> dict[str, Any]:
    try:
        document = orjson.loads(answer.body)
    except ValueError:
        return {}
    return document if isinstance(document, dict) else {}
