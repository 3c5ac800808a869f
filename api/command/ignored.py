"""The members of a body that a command ignores, named in a header of its answer."""

from dataclasses import replace
from functools import cache
from itertools import islice
from typing import Any
from urllib.parse import quote

from api.command.call import Call
from api.wire.answers import Answer
from policy.command.payload import pointer
from policy.command.registry import command_tool
from policy.command.unknown import unknown_members

HEADER = "X-Ignored-Keys"
MOST_NAMED = 10
MOST_LETTERS = 40


def naming_ignored(answer: Answer, call: Call) -> Answer:
    """Return an answer that names, as JSON pointers, what of its body nobody read.

    They are escaped as in a URL, none is longer than `MOST_LETTERS`, and `...` stands for more.
    """
    found = islice(unknown_members(_schema(call.tool), call.body), MOST_NAMED + 1)
    named = [quote(pointer(*way)[:MOST_LETTERS], safe="/~", errors="replace") for way in found]
    if not named:
        return answer
    more = ["..."] if len(named) > MOST_NAMED else []
    said = ", ".join([*named[:MOST_NAMED], *more])
    return replace(answer, headers={**answer.headers, HEADER: said})


@cache
def _schema(tool: str) -> dict[str, Any]:
    schema: dict[str, Any] = command_tool(tool).payload.model_json_schema()
    return schema
