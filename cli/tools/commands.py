"""The function of a tool's command: its options, and the call that it makes."""

import inspect
from collections.abc import Callable
from typing import Annotated, Any, Literal
from uuid import uuid4

import typer

from cli.caller import caller
from cli.identity import AS_ROLE, TokenFile, identity
from cli.output import DataDir
from cli.tools.call import ToolCall, perform
from cli.tools.options import Field, fields_of, parameter, parameters_of, payload_of
from cli.tools.toolset import Tool, load_toolset
from runtime.client import DEFAULT_DATA_DIR

Data = Annotated[
    str | None, typer.Option("--data", help="The payload as a JSON object, or @ and a file's name.")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print the answer as JSON.")]
Key = Annotated[
    str | None, typer.Option("--key", help="Idempotency key (UUID); the same one retries.")
]
Wait = Annotated[
    int | None, typer.Option("--wait", min=0, max=60, help="Seconds to wait for the outcome.")
]
COMMON = (
    parameter("data", Data),
    parameter("role", Annotated[Literal[load_toolset().roles] | None, AS_ROLE]),
    parameter("token_file", TokenFile),
    parameter("as_json", AsJson, default=False),
    parameter("data_dir", DataDir, default=DEFAULT_DATA_DIR),
)
OF_COMMANDS = (parameter("key", Key), parameter("wait", Wait))
TICKET = inspect.Parameter(
    "ticket",
    inspect.Parameter.POSITIONAL_OR_KEYWORD,
    annotation=Annotated[str, typer.Argument(metavar="TICKET", help="Id of the ticket.")],
)


def command_of(tool: Tool) -> Callable[..., None]:
    """Return the command of a tool: a function whose signature has the tool's options."""
    fields = fields_of(tool.schema)

    def command(ticket: str | None = None, **given: Any) -> None:  # noqa: ANN401  option values
        body: dict[str, Any] = {"payload": payload_of(fields, given, given["data"])}
        if ticket is not None:
            body["ticket_id"] = ticket
        if tool.mutating:
            body["request_id"] = given["key"] or str(uuid4())
        chosen = caller(given["data_dir"])
        who = identity(chosen, given["role"], given["token_file"], tool.roles[0])
        call = ToolCall(tool, body, who, given.get("wait"))
        perform(call, chosen.api_url, as_json=given["as_json"])

    command.__name__ = tool.alias
    command.__dict__["__signature__"] = _signature(tool, fields)
    return command


def _signature(tool: Tool, fields: tuple[Field, ...]) -> inspect.Signature:
    parameters = [TICKET] if tool.takes_ticket else []
    parameters += parameters_of(fields)
    parameters += [*(OF_COMMANDS if tool.mutating else ()), *COMMON]
    return inspect.Signature(parameters)
