"""The options of a tool's command, from the JSON Schema of its payload."""

import inspect
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import orjson
import typer

PREFIX = "field_"
SCALARS: Mapping[str, Any] = {"string": str, "integer": int, "number": float, "boolean": bool}
SEVERAL = "Repeat the option for several."


@dataclass(frozen=True)
class Field:
    """One field of a payload; without an option its value is JSON and comes by `--data`."""

    name: str
    schema: Mapping[str, Any]
    required: bool

    @property
    def option(self) -> str:
        """The name of the option."""
        return f"--{self.name.replace('_', '-')}"

    @property
    def negation(self) -> str:
        """The name of the option that means no."""
        return f"--no-{self.option.removeprefix('--')}"

    @property
    def type(self) -> Any:  # noqa: ANN401  a type annotation
        """The type of the option's value, None if no option can hold it."""
        if self.schema.get("type") == "array":
            return None if _scalar(self.schema["items"]) is None else list[str]
        return _scalar(self.schema)

    @property
    def help(self) -> str:
        """What the option means."""
        words = [self.schema.get("description", "")]
        if self.schema.get("type") == "array":
            words += [*_choices(self.schema["items"]), SEVERAL]
        if self.required:
            words.append("(required)")
        return " ".join(words)

    def arguments(self, value: Any) -> list[str]:  # noqa: ANN401  any JSON value
        """Return the words that give `value` on the command line."""
        match value:
            case bool():
                return [self.option if value else self.negation]
            case list() | tuple():
                return [word for each in value for word in self.arguments(each)]
            case _:
                return [self.option, str(value)]

    def parameter(self) -> inspect.Parameter:
        """Return the option as a parameter of a command."""
        words = f"{self.option}/{self.negation}" if self.type is bool else self.option
        described = typer.Option(words, help=self.help, case_sensitive=False, show_default=False)
        return parameter(PREFIX + self.name, Annotated[self.type | None, described])


def fields_of(schema: Mapping[str, Any]) -> tuple[Field, ...]:
    """Return the fields of a payload."""
    required = schema.get("required", ())
    return tuple(
        Field(name, member, name in required) for name, member in schema["properties"].items()
    )


def parameters_of(fields: tuple[Field, ...]) -> Iterator[inspect.Parameter]:
    """Yield the options of a command; none of them is required, as `--data` may hold the field."""
    for field in fields:
        if field.type is not None:
            yield field.parameter()


def parameter(name: str, annotation: Any, default: object = None) -> inspect.Parameter:  # noqa: ANN401
    """Return a parameter of a command's signature."""
    kind = inspect.Parameter.KEYWORD_ONLY
    return inspect.Parameter(name, kind, default=default, annotation=annotation)


def payload_of(
    fields: tuple[Field, ...], given: Mapping[str, Any], data: str | None
) -> dict[str, Any]:
    """Return the payload: `data`, completed and overruled by the options that were given.

    Raises `typer.BadParameter` if `data` is no JSON object, or a required field is in neither.
    """
    payload = {} if data is None else _object(data)
    for field in fields:
        value = given.get(PREFIX + field.name)
        if value is not None and value != []:
            payload[field.name] = value
    missing = [field for field in fields if field.required and field.name not in payload]
    if missing:
        raise typer.BadParameter(f"missing: {', '.join(map(_way, missing))}")
    return payload


def _way(field: Field) -> str:
    return field.option if field.type is not None else f"{field.name} (in --data)"


def _object(data: str) -> dict[str, Any]:
    try:
        text = Path(data[1:]).read_bytes() if data.startswith("@") else data.encode()
        value = orjson.loads(text)
    except (OSError, ValueError) as failure:
        raise typer.BadParameter(f"--data cannot be read: {failure}") from None
    if not isinstance(value, dict):
        raise typer.BadParameter("--data must be a JSON object")
    return value


def _choices(schema: Mapping[str, Any]) -> list[str]:
    return [f"One of: {', '.join(map(str, schema['enum']))}."] if "enum" in schema else []


def _scalar(schema: Mapping[str, Any]) -> Any:  # noqa: ANN401  a type annotation
    if "enum" in schema:
        return Literal[tuple(str(each) for each in schema["enum"])]
    return SCALARS.get(str(schema.get("type")))
