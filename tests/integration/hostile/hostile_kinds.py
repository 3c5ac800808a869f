"""More of the hostile corpus: what costs much, what is another's, and the ways around a door."""

from collections.abc import Iterator
from itertools import product
from uuid import uuid4

from contracts.command import AUTOMATION_HEADER
from policy.codes import Code
from policy.command.registry import alias
from policy.model import State
from policy.rules.autonomy import Verdict
from tests.integration.hostile.bad_requests import NOWHERE
from tests.integration.hostile.hostile_call import Hostile, Pairs, Target, bearing, dev
from tests.integration.reads.http_cells import BUNDLE
from tests.unit.payloads import PAYLOADS

COMMANDS = BUNDLE.commands
FOREIGN = "http://rebound.example"
ODD_TEXTS = ("Zo\N{LATIN SMALL LETTER E WITH DIAERESIS}", "\N{SNOWMAN}" * 40, "\x85\x9b")
HEADERS = (
    *("X-Actor-Type", "X-Trace-Id", "traceparent", "tracestate", "Prefer", "X-Tool-Name"),
    *("X-Account-Scope", "Cookie", "Accept", AUTOMATION_HEADER, "X-Forwarded-For", "User-Agent"),
)
OPEN_READS = (
    *("/docs", "/openapi.json", "/metrics", "/metrics/prometheus", "/ops/alerts", "/health"),
    *("/health/live", "/health/ready", "/tools", "/dispatcher/cockpit", "/ops/autonomy/state"),
)
# Names that a door of MCP might take for a tool.
NO_TOOLS = (
    *("__init__", "ticket.delete", "tools/ticket_cancel", "ticket_cancel/../ticket_create", "%2e"),
    *("ticket_cancel?x=1", "ticket_cancel#", "ticket_cancel ", " ticket_cancel", "ticket\ncancel"),
    *("TICKET_CANCEL", "ticket-cancel", "http://evil.example/", "", "\0", "a" * 5000),
)
OWN_READS = (
    *("/dossier", "/escalations", f"/evidence/{NOWHERE}/link", f"/evidence/uploads/{NOWHERE}"),
    *(f"/evidence/{NOWHERE}/link?variant={word}" for word in ("original", "redacted", "thumbnail")),
)
# Each is legal but for its end, so that all of it has to be read.
COSTLY_BODIES = {
    "a name of 512 KiB and zeros": b'{"%s": 1, "a": [%s0' % (b"n" * (1 << 19), b"0," * 200_000),
    "a name of 512 KiB in a deep place": b'{"a":' * 90 + b'{"%s": [' % (b"n" * (1 << 19)),
    "260,000 zeros": b'{"a": [%s0]' % (b"0," * 260_000),
    "100,000 members": b"{%s" % b",".join(b'"%d":0' % number for number in range(100_000)),
    "100,000 strings": b'{"a": [%s' % (b'"",' * 100_000),
    "only escapes": b'{"a": "%s' % (rb"\u0041" * 100_000),
    "only backslashes": b'{"a": "%s' % (b"\\\\" * 250_000),
    "only spaces": b"{" + b" " * 1_000_000,
    "only quotes": b'"' * 1_000_000,
    "only brackets": b"[" * 1_000_000,
    "only digits": b'{"a": %s' % (b"9" * 1_000_000),
    "a number of 400 digits": b'{"a": 1%s}' % (b"0" * 400),
}
COSTLY_HEADERS = {
    "open quotes": ("Prefer", '"' * 4000),
    "quotes and commas": ("Prefer", '",' * 2000),
    "escapes in a quote": ("Prefer", '"' + "\\" * 4000),
    "semicolons": ("Prefer", "wait" + ";" * 4000),
    "a long wait": ("Prefer", "wait=" + "9" * 4000),
    "many ranges": ("Accept", "text/plain;q=0.1," * 400),
    "dashes": ("traceparent", "00-" + "-" * 4000),
    "a long trace": ("traceparent", "00-" + "a" * 4000),
    "a long state": ("tracestate", "a=b," * 1000),
    "many scopes": ("X-Site-Scope", f"{NOWHERE}," * 100),
}
COSTLY_TOKENS = {
    "dots": "." * 8000,
    "three long parts": ".".join(["A" * 2000] * 3),
    "nested claims": "e30." + "W" * 4000 + ".AA",
    "no base64": "=" * 4000 + ".=.=",
    "spaces": "a" + " " * 4000 + "b",
}
WRONG_ARRAYS = {
    "schedule.propose": "options",
    "ticket.request_info": "questions",
    "tech.complete": "evidence_refs",
    "closeout.candidate": "evidence_refs",
}


def kinds(target: Target) -> Iterator[Hostile]:
    """Yield every call of these kinds."""
    for make in (
        *(_costly_bodies, _costly_headers, _costly_tokens, _wrong_arrays),
        *(_automation, _by_mcp, _no_tools_by_mcp, _odd_headers),
        *(_foreign_pages, _foreign_reads, _anothers_job, _anothers_key),
    ):
        yield from make(target)


def _costly_bodies(target: Target) -> Iterator[Hostile]:
    for path in (f"/tickets/{target.ticket}/cancel", "/tools/ticket.cancel"):
        for what, text in COSTLY_BODIES.items():
            yield Hostile(
                f"{path} {what}", Code.INVALID_JSON, path, text, dev("audit"), logged=False
            )


def _costly_headers(target: Target) -> Iterator[Hostile]:
    for what, (name, text) in COSTLY_HEADERS.items():
        headers = (*dev("customer"), (name, text))
        path = f"/tickets/{target.ticket}/cancel"
        yield Hostile(f"{name} {what}", Code.FORBIDDEN, path, PAYLOADS["ticket.cancel"], headers)
        if name == "Accept":  # at the other door it says what the client can read
            continue
        call = {"ticket_id": target.ticket, **PAYLOADS["ticket.cancel"]}
        yield _mcp(
            f"{name} {what} by MCP", Code.TOOL_ROLE_FORBIDDEN, "ticket_cancel", call, headers
        )


def _costly_tokens(target: Target) -> Iterator[Hostile]:
    for what, text in COSTLY_TOKENS.items():
        headers = bearing({"Authorization": f"Bearer {text}"}, *dev("dispatcher")[:2])
        for path in (f"/tickets/{target.ticket}/cancel", "/mcp", "/tools/ticket.cancel"):
            name = f"{path} {what}"
            yield Hostile(name, Code.INVALID_AUTH_TOKEN, path, {}, headers, logged=False)


def _wrong_arrays(target: Target) -> Iterator[Hostile]:
    """Yield a thousand faults in one array: the answer must not grow with them without end."""
    for tool, field in WRONG_ARRAYS.items():
        rule = COMMANDS[tool]
        wrongs: tuple[object, ...] = (None, {"$ne": 1}, [[]], "\0")
        for wrong in wrongs:
            body = {**PAYLOADS[tool], field: [wrong] * 1000}
            what = f"{tool} of a thousand {wrong!r}"
            headers = dev(rule.roles[0])
            yield Hostile(what, Code.INVALID_REQUEST, target.path(rule), body, headers)


def _automation(target: Target) -> Iterator[Hostile]:
    """Yield commands without a person: they meet the ladder, whichever door is taken."""
    for tool, rule in COMMANDS.items():
        starts_here = rule.from_states is None or State.NEW in rule.from_states
        runs = BUNDLE.autonomy.verdict(tool, None, paused=False) is Verdict.RUN
        if runs or not starts_here or not rule.requires_ticket_id:
            continue
        code, body = Code.AUTONOMY_DISABLED, PAYLOADS[tool]
        for value in ("true", "false", "0"):
            headers = dev(rule.roles[0], **{AUTOMATION_HEADER: value})
            yield Hostile(f"{tool} without a person", code, target.path(rule), body, headers)
        call = {"ticket_id": target.ticket, "payload": body}
        headers = dev(rule.roles[0], **{AUTOMATION_HEADER: "1"})
        yield Hostile(f"{tool} so by name", code, f"/tools/{tool}", call, headers)
        call = {"ticket_id": target.ticket, **body}
        headers = dev(rule.roles[0], **{AUTOMATION_HEADER: "1"})
        yield _mcp(f"{tool} so by MCP", code, alias(tool), call, headers)


def _by_mcp(target: Target) -> Iterator[Hostile]:
    for tool, rule in COMMANDS.items():
        name, code = alias(tool), Code.TOOL_ROLE_FORBIDDEN
        call = {"ticket_id": target.ticket, "role": "admin", **PAYLOADS[tool]}
        yield _mcp(f"{tool} by MCP for audit", code, name, call, dev("audit"))
        token = bearing(target.gateway.bearer("audit"), ("X-Actor-Role", "dispatcher"))
        yield _mcp(f"{tool} by MCP with audit's token", code, name, call, token)
        if rule.requires_ticket_id:
            foreign = bearing(target.gateway.bearer(rule.roles[0], tenant_id="elsewhere"))
            call = {"ticket_id": target.ticket, **PAYLOADS[tool]}
            what = f"{tool} by MCP from afar"
            yield _mcp(what, Code.TICKET_NOT_FOUND, name, call, foreign)


def _no_tools_by_mcp(target: Target) -> Iterator[Hostile]:
    call = {"ticket_id": target.ticket, "reason": "x"}
    for name in NO_TOOLS:
        what = f"{name[:20]!r} by MCP"
        yield _mcp(what, Code.UNKNOWN_TOOL, name, call, dev("dispatcher"), logged=False)


def _odd_headers(target: Target) -> Iterator[Hostile]:
    body, path = PAYLOADS["ticket.cancel"], f"/tickets/{target.ticket}/cancel"
    for name, text in product(HEADERS, ODD_TEXTS):
        odd = bearing(target.gateway.bearer("audit"), (name, text))
        yield Hostile(f"{name} {text!r}", Code.FORBIDDEN, path, body, odd)
        if name in {"Accept", "Cookie"}:
            continue
        odd = bearing(target.gateway.bearer("audit"), (name, text))
        call, what = {"ticket_id": target.ticket, **body}, f"{name} {text!r} by MCP"
        yield _mcp(what, Code.TOOL_ROLE_FORBIDDEN, "ticket_cancel", call, odd)


def _foreign_pages(target: Target) -> Iterator[Hostile]:
    for tool, rule in COMMANDS.items():
        path, body, role = target.path(rule), PAYLOADS[tool], rule.roles[0]
        for what, headers in (
            ("a rebound name", dev(role, Host="rebound.example", Origin=FOREIGN)),
            ("a rebound name alone", dev(role, Host="rebound.example:8080")),
            ("a foreign page", dev(role, Origin=FOREIGN)),
            ("a sandboxed page", dev(role, Origin="null")),
        ):
            yield _stranger(f"{tool} from {what}", path, body, headers)
        call = {"ticket_id": target.ticket, **body}
        headers = dev(role, Host="rebound.example")
        yield _mcp(
            f"{tool} from there by MCP",
            Code.AUTH_REQUIRED,
            alias(tool),
            call,
            headers,
            logged=False,
        )


def _foreign_reads(_: Target) -> Iterator[Hostile]:
    for path in OPEN_READS:
        for headers in (
            dev("dispatcher", Host="rebound.example"),
            dev("dispatcher", Origin=FOREIGN),
        ):
            yield _stranger(f"{path} from a page", path, {}, headers, method="GET")


def _anothers_job(target: Target) -> Iterator[Hostile]:
    for end in OWN_READS:
        path = f"/tickets/{target.ticket}{end}"
        for code, token in (
            (Code.FORBIDDEN_SCOPE, {"technician_id": str(uuid4())}),
            (Code.FORBIDDEN_SCOPE, {"scope": {"account_ids": [NOWHERE], "site_ids": "*"}}),
            (Code.TICKET_NOT_FOUND, {"tenant_id": "elsewhere"}),
        ):
            headers = bearing(target.gateway.bearer("technician", **token))
            name = f"{end} with {token}"
            yield Hostile(name, code, path, {}, headers, method="GET", logged=False)


def _anothers_key(target: Target) -> Iterator[Hostile]:
    """Yield a spent key: it tells another tenant nothing, not even that."""
    for tool, rule in COMMANDS.items():
        if rule.requires_ticket_id:
            token = target.gateway.bearer(rule.roles[0], tenant_id="elsewhere")
            headers = (*token.items(), ("Idempotency-Key", target.spent_key))
            name, path = f"{tool} under another's key", target.path(rule)
            yield Hostile(name, Code.TICKET_NOT_FOUND, path, PAYLOADS[tool], headers)


def _stranger(
    name: str, path: str, body: object, headers: Pairs, *, method: str = "POST"
) -> Hostile:
    return Hostile(name, Code.AUTH_REQUIRED, path, body, headers, method=method, logged=False)


def _mcp(  # noqa: PLR0913  what a call is made of
    name: str, code: Code, tool: str, body: object, headers: Pairs, *, logged: bool = True
) -> Hostile:
    return Hostile(name, code, tool, body, headers, logged=logged, by_mcp=True)
