"""Every tool as a command, generated from the registry: `dispatch ticket triage TICKET ...`."""

import inspect
import shlex
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Annotated, Any
from uuid import uuid4

import orjson
import typer

from cli.identity import AsRole, TokenFile, identity
from cli.output import DataDir, settings
from cli.tools.call import ToolCall, perform
from cli.tools.options import Field, fields_of, parameter, parameters_of, payload_of
from policy.command.registry import alias
from policy.reads.guide import ToolGuide, described_schema, load_guide
from policy.rules.bundle import Bundle, ToolRule
from runtime.stack import DEFAULT_DATA_DIR

# Where the name of a tool makes an awkward command.
PLACES: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {"dispatcher.cockpit": ("cockpit",), "dispatch_contract_status": ("contract-status",)}
)
EXAMPLE_TICKET = "94c09184-0e2f-5232-9361-45479ec0e9e2"
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
    parameter("role", AsRole),
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


def place_of(name: str) -> tuple[str, ...]:
    """Return the words of a tool's command: its name at the dots."""
    words = PLACES.get(name, tuple(name.split(".")))
    return tuple(word.replace("_", "-") for word in words)


def add_tools(
    app: typer.Typer, bundle: Bundle, existing: Mapping[tuple[str, ...], typer.Typer]
) -> None:
    """Add a command per tool, in groups by noun, of which some may exist already."""
    groups: dict[tuple[str, ...], typer.Typer] = {(): app, **existing}
    for name, rule in bundle.tools.items():
        *nouns, verb = place_of(name)
        group = app
        for depth in range(1, len(nouns) + 1):
            path = tuple(nouns[:depth])
            if path not in groups:
                groups[path] = _group()
                group.add_typer(
                    groups[path], name=path[-1], help=f"Call a tool named {'.'.join(path)}.*"
                )
            group = groups[path]
        guide = load_guide().tools[name]
        group.command(
            verb,
            short_help=guide.title,
            help=help_of(rule, guide),
            epilog=epilog_of(name, rule),
        )(command_of(name, rule))


def _group() -> typer.Typer:
    return typer.Typer(no_args_is_help=True, rich_markup_mode=None)


def help_of(rule: ToolRule, guide: ToolGuide) -> str:
    """Return what a tool does, who may call it and from where."""
    lines = [guide.does, f"Roles: {', '.join(rule.roles)}."]
    if rule.from_states is not None:
        lines.append(f"From states: {', '.join(rule.from_states)}.")
    return "\n\n".join([*lines, f"Next: {guide.next}"])


def epilog_of(name: str, rule: ToolRule) -> str:
    """Return the examples of a tool's command."""
    example = load_guide().tools[name].example
    start = ["dispatch", *place_of(name), *([EXAMPLE_TICKET] if rule.requires_ticket_id else [])]
    plain, rest = [], {}
    for field in fields_of(described_schema(name, rule)):
        if field.name in example:
            if field.type is None:
                rest[field.name] = example[field.name]
            else:
                plain += field.arguments(example[field.name])
    by_data = ["--data", orjson.dumps(rest).decode()] if rest else []
    lines = [shlex.join([*start, *plain, *by_data])]
    lines.append(shlex.join([*start, "--data", "@payload.json"]) if rule.mutating else "")
    lines.append(shlex.join([*start, *plain, *by_data, "--as", rule.roles[0], "--json"]))
    shown = [f"  {line}" for line in lines if line]
    return "\n".join(["\b", "Examples:", *shown])


def command_of(name: str, rule: ToolRule) -> Callable[..., None]:
    """Return the command of a tool: a function whose signature has the tool's options."""
    fields = fields_of(described_schema(name, rule))

    def command(ticket: str | None = None, **given: Any) -> None:  # noqa: ANN401  option values
        body: dict[str, Any] = {"payload": payload_of(fields, given, given["data"])}
        if ticket is not None:
            body["ticket_id"] = ticket
        if rule.mutating:
            body["request_id"] = given["key"] or str(uuid4())
        chosen = settings(given["data_dir"])
        who = identity(chosen, given["role"], given["token_file"], rule.roles[0])
        call = ToolCall(name, body, who, given.get("wait"))
        perform(call, chosen.api_url, as_json=given["as_json"])

    command.__name__ = alias(name)
    command.__dict__["__signature__"] = _signature(rule, fields)
    return command


def _signature(rule: ToolRule, fields: tuple[Field, ...]) -> inspect.Signature:
    parameters = [TICKET] if rule.requires_ticket_id else []
    parameters += parameters_of(fields)
    parameters += [*(OF_COMMANDS if rule.mutating else ()), *COMMON]
    return inspect.Signature(parameters)
