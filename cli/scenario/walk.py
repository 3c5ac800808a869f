"""Walking a scenario through the gateway, and what must be true on the way and at the end."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final
from uuid import uuid4

import httpx

from cli.scenario.lifecycle import Step
from policy.audit.chain import check_timeline
from policy.model import Role
from policy.rules.bundle import Bundle

WAIT_SECONDS: Final = 10
PATIENCE: Final = timedelta(seconds=60)
PAUSE_SECONDS: Final = 0.5
# Derived for the instant of an answer, or written by the database a moment later.
VOLATILE: Final = frozenset({"escalation_level", "updated_at"})

Credentials = Callable[[Role], Mapping[str, str]]


class GatewayDownError(Exception):
    """The gateway gave no outcome for as long as a client is patient."""


@dataclass(frozen=True)
class Check:
    """One expectation; `failure` says how it did not hold."""

    name: str
    failure: str | None = None


@dataclass(frozen=True)
class Visit:
    """What one step did. `attempts` counts the calls with its key until one was answered."""

    number: int
    step: Step
    request: httpx.Request
    answer: httpx.Response
    state: str | None
    attempts: int
    milliseconds: float
    checks: tuple[Check, ...]

    @property
    def document(self) -> dict[str, Any]:
        """The answer as JSON, empty if it is none."""
        return document_of(self.answer)

    @property
    def as_planned(self) -> bool:
        """Whether the next step can follow: the status is the expected one."""
        return self.checks[0].failure is None


@dataclass(frozen=True)
class Replay:
    """What the same call with the same key did once more."""

    visit: Visit
    status: int
    milliseconds: float
    check: Check


class Walk:
    """One scenario on one gateway. `names` are the values that payloads refer to."""

    def __init__(
        self,
        client: httpx.AsyncClient,
        bundle: Bundle,
        credentials: Credentials,
        scenario: Sequence[Step],
        names: Mapping[str, str],
    ) -> None:
        self._client = client
        self._bundle = bundle
        self._credentials = credentials
        self._scenario = scenario
        self._names = dict(names)
        self._visits: list[Visit] = []

    @property
    def ticket_id(self) -> str | None:
        """The ticket, once the first step has created it."""
        return self._names.get("ticket_id")

    async def steps(self) -> AsyncIterator[Visit]:
        """Make the steps one by one; the walk ends where an answer has another status."""
        for number, step in enumerate(self._scenario, start=1):
            visit = await self._visit(number, step)
            self._visits.append(visit)
            yield visit
            if not visit.as_planned:
                return

    async def replays(self) -> AsyncIterator[Replay]:
        """Repeat every call that took effect: it is answered as before, byte by byte."""
        for visit in self._visits:
            if not visit.step.accepted:
                continue
            began = time.perf_counter()
            again, _ = await self._send(visit.request)
            milliseconds = (time.perf_counter() - began) * 1000
            yield Replay(visit, again.status_code, milliseconds, _judge_replay(visit, again))

    async def history(self) -> tuple[list[dict[str, Any]], tuple[Check, ...]]:
        """Return the timeline and what it proves, judged from the timeline and the walk alone."""
        events = (await self._read("/timeline"))["events"]
        evidence = (await self._read("/evidence"))["evidence"]
        accepted = [visit for visit in self._visits if visit.step.accepted]
        return events, tuple(_judge_history(events, evidence, accepted))

    async def _visit(self, number: int, step: Step) -> Visit:
        rule = self._bundle.tools[step.tool]
        path = rule.route.replace("{ticketId}", str(self.ticket_id))
        headers = {
            **self._credentials(step.role),
            "Idempotency-Key": str(uuid4()),
            "Prefer": f"wait={WAIT_SECONDS}",
        }
        body = _filled(step.payload, self._names)
        request = self._client.build_request(rule.method, path, json=body, headers=headers)
        began = time.perf_counter()
        answer, attempts = await self._send(request)
        milliseconds = (time.perf_counter() - began) * 1000
        document = document_of(answer)
        for name, place in step.keeps.items():
            if (value := _member(document, place)) is not None:
                self._names[name] = value
        status = step.status or rule.success_status
        checks = [_equal("HTTP", answer.status_code, status, _error(document))]
        ticket = await self._read("") if self.ticket_id else {}
        checks += _judge_answer(step, self._names, document, ticket)
        if not step.accepted:
            again, _ = await self._send(request)
            checks.append(_judge_repeat(answer, again))
        return Visit(
            number=number,
            step=step,
            request=request,
            answer=answer,
            state=ticket.get("state"),
            attempts=attempts,
            milliseconds=milliseconds,
            checks=tuple(checks),
        )

    async def _read(self, part: str) -> dict[str, Any]:
        path = f"/tickets/{self.ticket_id}{part}"
        headers = self._credentials(Role.DISPATCHER)
        answer, _ = await self._send(self._client.build_request("GET", path, headers=headers))
        return document_of(answer)

    async def _send(self, request: httpx.Request) -> tuple[httpx.Response, int]:
        """Send until there is an outcome, as a client should: the same key, again and again."""
        deadline = time.monotonic() + PATIENCE.total_seconds()
        attempts, trouble = 0, ""
        while time.monotonic() < deadline:
            attempts += 1
            try:
                answer = await self._client.send(_repeat(self._client, request))
            except httpx.TransportError as failure:
                trouble = str(failure) or type(failure).__name__
            else:
                if answer.status_code not in {httpx.codes.ACCEPTED, 503}:
                    return answer, attempts
                trouble = f"HTTP {answer.status_code} {_error(document_of(answer))}"
            await asyncio.sleep(PAUSE_SECONDS)
        seconds = PATIENCE.total_seconds()
        raise GatewayDownError(f"no outcome of {request.url.path} in {seconds:.0f} s: {trouble}")


def _repeat(client: httpx.AsyncClient, request: httpx.Request) -> httpx.Request:
    return client.build_request(
        request.method, request.url, headers=request.headers, content=request.content
    )


def _judge_answer(
    step: Step, names: Mapping[str, str], document: Mapping[str, Any], ticket: Mapping[str, Any]
) -> Iterator[Check]:
    for place, wanted in _filled(step.expects, names).items():
        yield _equal(place, _member(document, place), wanted)
    yield _equal("state", ticket.get("state"), step.state.value)
    yield _equal("version", ticket.get("version"), step.version)
    shown = document.get("ticket", document)
    if isinstance(shown, dict) and "state" in shown:
        differing = [key for key in shown if key not in VOLATILE and shown[key] != ticket.get(key)]
        yield Check(
            "read back the same", f"{', '.join(differing)} read otherwise" if differing else None
        )


def _judge_repeat(rejected: httpx.Response, again: httpx.Response) -> Check:
    """Judge the repeat of a rejection: it is not stored, its key is judged anew."""
    same = again.status_code == rejected.status_code
    if not same or "Idempotency-Replayed" in again.headers:
        return Check("rejected anew when repeated", f"status {again.status_code} or a replay")
    return Check("rejected anew when repeated", None)


def _judge_replay(visit: Visit, again: httpx.Response) -> Check:
    replayed = again.headers.get("Idempotency-Replayed") == "true"
    faults = [
        text
        for text, broken in (
            (f"status {again.status_code}", again.status_code != visit.answer.status_code),
            ("another body", again.content != visit.answer.content),
            ("no Idempotency-Replayed: true", not replayed),
        )
        if broken
    ]
    return Check("identical answer, replayed", ", ".join(faults) or None)


def _judge_history(
    events: Sequence[Mapping[str, Any]],
    evidence: Sequence[Mapping[str, Any]],
    accepted: Sequence[Visit],
) -> Iterator[Check]:
    keys = [visit.request.headers["Idempotency-Key"] for visit in accepted]
    yield _expect(
        "one event per accepted command, in order",
        [(event["tool_name"], event["request_id"]) for event in events],
        list(zip((visit.step.tool for visit in accepted), keys, strict=True)),
    )
    yield _expect(
        "each event ends in the state that was answered",
        [event["after_state"] for event in events],
        [visit.state for visit in accepted],
    )
    yield _expect(
        "seq without gaps",
        [event["seq"] for event in events],
        list(range(1, len(accepted) + 1)),
    )
    broken = [fault.problem for fault in check_timeline(events)]
    yield Check("hash chain verified from the timeline alone", "; ".join(broken) or None)
    loose = [item["uri"] for item in evidence if not item["is_immutable"]]
    yield Check("all evidence sealed", f"not sealed: {', '.join(loose)}" if loose else None)


def _expect(name: str, found: object, wanted: object, remark: str = "") -> Check:
    if found == wanted:
        return Check(name)
    return Check(name, f"{found!r} instead of {wanted!r} {remark}".rstrip())


def _equal(name: str, found: object, wanted: object, remark: str = "") -> Check:
    """Return an expectation that shows the value it is about."""
    shown = ", ".join(map(str, wanted)) if isinstance(wanted, list) else wanted
    return _expect(f"{name} {shown}", found, wanted, remark)


def _filled(value: Any, names: Mapping[str, str]) -> Any:  # noqa: ANN401  any JSON value
    match value:
        case str():
            return value.format_map(names)
        case list():
            return [_filled(member, names) for member in value]
        case dict():
            return {key: _filled(member, names) for key, member in value.items()}
        case _:
            return value


def _member(document: Any, place: str) -> Any:  # noqa: ANN401  any JSON value
    for name in place.split("."):
        document = document.get(name) if isinstance(document, dict) else None
    return document


def document_of(answer: httpx.Response) -> dict[str, Any]:
    """Return the JSON object of an answer, empty if there is none."""
    try:
        document = answer.json()
    except ValueError:
        return {}
    return document if isinstance(document, dict) else {}


def _error(document: Mapping[str, Any]) -> str:
    return str(_member(document, "error.code") or "")
