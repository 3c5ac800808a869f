"""The engine's limits that are counted in bytes, and what of ours stands under each of them.

What breaks one of them is refused, or ends the workflow that sends it. So what is only shown is
clipped here; what must arrive is kept small by its kind, or travels through the database.
"""

import json

SEARCH_ATTRIBUTE_BYTES = 2048
"""Of one search attribute, as JSON. We send ids, words of the policy, a ticket's incident type."""
KEYWORD_CHARACTERS = 255
"""Of one Keyword, where the engine keeps visibility in SQL."""
SUMMARY_BYTES = 400
"""Of a workflow's, an activity's or a timer's summary, as the payload that holds it."""
ENVELOPE_BYTES = 160
"""What a payload adds to its text: its encoding; the nonce, tag and key id when it is sealed."""
ID_BYTES = 1000
"""Of a workflow id or a signal's name. Ours are `kind-uuid`, `tenant-name` and names of tools."""
PAYLOAD_BYTES = 2 * 1024 * 1024
"""Of one payload, and of one task's answer. We send a signed command, a view or an outcome; and a
whole inbox, when a run continues as new."""
HISTORY_BYTES, HISTORY_EVENTS = 50 * 1024 * 1024, 50 * 1024
"""Of one run. It continues as new when the engine suggests it, at a tenth of that."""
SIGNALS = 10_000
"""Of one run. Whoever sends more is answered 503 until the run has continued as new."""

INLINE_BYTES = 4096
"""The largest body that travels in a signal, as JSON; a larger one waits in the database."""
HEAD_BYTES = 4096
"""What a command has besides its body and scope."""
SCOPED_ID_BYTES = 39
"""What one account or site of an actor's scope takes."""
CARRIED_COMMANDS, CARRIED_BYTES = 200, 1_700_000
"""The largest inbox that is handed from one run to the next."""


def clipped(text: str, json_bytes: int) -> str:
    """Return as much of a text as takes no more bytes as JSON than that, quotes included.

    JSON is taken at its longest: all but ASCII escaped. No character is split.
    """
    left = json_bytes - 2
    if len(text) * len("\\ud83d\\ude00") <= left:  # the longest that one character can be
        return text
    for count, character in enumerate(text):
        left -= len(json.dumps(character)) - 2
        if left < 0:
            return text[:count]
    return text


def shown_keyword(value: str | int) -> str | int:
    """Return a search attribute's value as it may be sent."""
    if isinstance(value, int):
        return value
    return clipped(value[:KEYWORD_CHARACTERS], SEARCH_ATTRIBUTE_BYTES)


def shown_summary(text: str) -> str:
    """Return a summary as it may be sent."""
    return clipped(text, SUMMARY_BYTES - ENVELOPE_BYTES)
