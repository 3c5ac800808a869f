"""What the SMS provider reports reaches the ticket's timeline, once, if it is signed."""

import secrets
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import httpx
import orjson
import pytest

from contracts.standard_webhooks import signed_headers
from policy.audit.chain import check_timeline
from tests.integration.servers.gateway import TestGateway

pytest_plugins = ["tests.integration.servers.stack_fixture"]

SECRET = "a secret of well over thirty-two bytes for tests"
INBOUND, STATUS = "/webhooks/sms/inbound", "/webhooks/sms/status"


@pytest.fixture
async def desk(gateway: TestGateway) -> AsyncIterator[httpx.AsyncClient]:
    async with gateway.sibling(DISPATCH_SMS_WEBHOOK_SECRET=SECRET) as client:
        yield client


async def report(
    desk: httpx.AsyncClient,
    path: str,
    body: object,
    secret: str = SECRET,
) -> httpx.Response:
    raw = orjson.dumps(body)
    headers = signed_headers([secret], str(uuid4()), datetime.now(UTC), raw)
    return await desk.post(path, content=raw, headers=headers)


def a_phone() -> str:
    return "555" + "".join(secrets.choice("0123456789") for _ in range(7))


def an_sms(phone: str, body: str = "Come after ten") -> dict[str, str]:
    return {"provider_message_id": str(uuid4()), "from": phone, "to": "+15550199", "body": body}


def ticket_of(gateway: TestGateway, phone: str, summary: str, site: str | None = None) -> str:
    place = {"account_id": gateway.account_id, "site_id": site or gateway.site_id}
    who = {"customer_name": "Ada", "contact_phone": phone, "priority": "ROUTINE"}
    sure = {"identity_confidence": 99, "classification_confidence": 99}
    what = {"summary": summary, "incident_type": "DOOR_WONT_LATCH"}
    return str(gateway.done("/tickets/intake", {**place, **who, **sure, **what})["id"])


def timeline(gateway: TestGateway, ticket: str) -> list[dict[str, Any]]:
    events: list[dict[str, Any]] = gateway.get(f"/tickets/{ticket}/timeline").json()["events"]
    assert check_timeline(events) == []
    return events


async def test_a_message_lands_on_the_newest_open_ticket_of_its_sender_once(
    gateway: TestGateway, desk: httpx.AsyncClient
) -> None:
    phone = a_phone()
    older = ticket_of(gateway, phone, "Door one")
    newer = ticket_of(gateway, phone, "Door two")
    closed = ticket_of(gateway, phone, "Door three")
    gateway.done(f"/tickets/{closed}/cancel", {"reason": "Mistake"})
    sms = an_sms(f"+1 ({phone[:3]}) {phone[3:]}")

    first = await report(desk, INBOUND, sms)
    again = await report(desk, INBOUND, sms)

    assert (first.status_code, first.json()["status"]) == (200, "received")
    assert (again.status_code, again.json()) == (200, {"status": "duplicate"})
    event = timeline(gateway, newer)[-1]
    assert (event["tool_name"], event["actor_id"]) == ("sms.inbound", "dispatch-sms-webhook")
    payload = event["payload"]
    assert (payload["message_id"], payload["body"]) == (first.json()["message_id"], sms["body"])
    assert payload["from_phone"].startswith("redacted:")
    assert phone[3:] not in orjson.dumps(event).decode()
    for other in (older, closed):
        assert "sms.inbound" not in [event["tool_name"] for event in timeline(gateway, other)]
    assert gateway.get(f"/tickets/{newer}").json()["version"] == 0
    gateway.done(f"/tickets/{newer}/cancel", {"reason": "Done"})
    timeline(gateway, newer)


@pytest.mark.parametrize("sender", ["nobody knows this one", "+15550000"])
async def test_a_message_from_an_unknown_sender_is_kept(
    gateway: TestGateway, desk: httpx.AsyncClient, sender: str
) -> None:
    answer = await report(desk, INBOUND, an_sms(sender, ""))
    async with gateway.owner() as conn:
        row = await conn.fetchrow(
            "SELECT * FROM messages WHERE id = $1::text::uuid", answer.json()["message_id"]
        )
    assert row is not None
    assert (row["ticket_id"], row["direction"], row["from_addr"]) == (None, "INBOUND", sender)


@pytest.mark.parametrize("path", [INBOUND, STATUS])
async def test_unsigned_and_wrongly_signed_reports_are_refused(
    desk: httpx.AsyncClient, path: str
) -> None:
    unsigned = await desk.post(path, json=an_sms("1"))
    forged = await report(desk, path, an_sms("1"), secret="another secret")
    for answer in (unsigned, forged):
        assert answer.status_code == 401
        assert answer.json()["error"]["code"] == "INVALID_AUTH_TOKEN"


@pytest.mark.parametrize(
    ("path", "body", "code"),
    [
        (INBOUND, {}, "INVALID_REQUEST"),
        (INBOUND, [], "INVALID_REQUEST"),
        (INBOUND, {"provider_message_id": "m", "from": "1", "body": "a\0b"}, "INVALID_REQUEST"),
        (INBOUND, {"provider_message_id": 7, "from": "1"}, "INVALID_REQUEST"),
        (STATUS, {"message_key": "k"}, "INVALID_REQUEST"),
        (STATUS, {"message_key": "no such key", "status": "sent"}, "OUTBOX_NOT_FOUND"),
        (STATUS, {"status": "sent"}, "OUTBOX_NOT_FOUND"),
    ],
)
async def test_what_cannot_be_filed_is_refused(
    desk: httpx.AsyncClient, path: str, body: object, code: str
) -> None:
    answer = await report(desk, path, body)
    assert answer.json()["error"]["code"] == code
    assert answer.status_code in {400, 404}


async def test_the_routes_do_not_exist_without_a_secret(gateway: TestGateway) -> None:
    for path in (INBOUND, STATUS):
        answer = gateway.http.post(path, json={})
        assert (answer.status_code, answer.json()["error"]["code"]) == (404, "NOT_FOUND")


async def test_what_became_of_a_message_is_noted_once_and_a_final_word_stays(
    gateway: TestGateway, desk: httpx.AsyncClient
) -> None:
    ticket = gateway.scheduled_ticket()
    async with gateway.owner() as conn:
        key = await conn.fetchval(
            "SELECT idempotency_key FROM dispatch_outbox WHERE aggregate_id = $1", ticket
        )
        for status in ("queued", "queued", "DELIVERED", "sent"):
            answer = await report(desk, STATUS, {"message_key": key, "status": status})
            assert answer.json() == {"status": "noted"}
        payload = await conn.fetchval(
            "SELECT payload FROM dispatch_outbox WHERE aggregate_id = $1", ticket
        )
    assert orjson.loads(payload)["provider_status"] == "delivered"
    noted = [
        event["payload"]["provider_status"]
        for event in timeline(gateway, ticket)
        if event["tool_name"] == "sms.status"
    ]
    assert noted == ["queued", "delivered"]


async def at_site(gateway: TestGateway, country: str) -> str:
    """Return a site of the gateway's account in a country."""
    async with gateway.owner() as conn:
        site = await conn.fetchval(
            "INSERT INTO sites (account_id, name, address1, city, country)"
            " VALUES ($1::text::uuid, 'S', '1 Street', 'City', $2) RETURNING id::text",
            gateway.account_id,
            country,
        )
    return str(site)


async def test_a_reply_from_abroad_reaches_the_ticket_that_wrote_the_number_at_home(
    gateway: TestGateway, desk: httpx.AsyncClient
) -> None:
    number = "7700" + "".join(secrets.choice("0123456789") for _ in range(6))
    ticket = ticket_of(gateway, f"0{number}", "Door", await at_site(gateway, "GB"))
    elsewhere = ticket_of(gateway, f"0{number}", "Gate")
    await report(desk, INBOUND, an_sms(f"+44{number}"))
    assert timeline(gateway, ticket)[-1]["tool_name"] == "sms.inbound"
    assert timeline(gateway, elsewhere)[-1]["tool_name"] != "sms.inbound"


async def test_a_message_that_fits_no_ticket_is_listed_and_attached_once(
    gateway: TestGateway, desk: httpx.AsyncClient
) -> None:
    phone = a_phone()
    ticket, other = (ticket_of(gateway, a_phone(), each) for each in ("Door one", "Door two"))
    sent = await report(desk, INBOUND, an_sms(phone, "Which door?"))
    message = sent.json()["message_id"]

    def listed() -> dict[str, dict[str, Any]]:
        found: dict[str, dict[str, Any]] = {}
        cursor: dict[str, str] = {}
        while True:
            page = gateway.get("/messages/unmatched", "admin", limit=1, **cursor).json()
            found |= {each["id"]: each for each in page["messages"]}
            if page["next_cursor"] is None:
                return found
            cursor = {"cursor": page["next_cursor"]}

    def attach(to: str, role: str = "dispatcher", message: str = message) -> tuple[int, str | None]:
        answer = gateway.http.post(
            f"/messages/{message}/attach", json={"ticket_id": to}, headers=gateway.as_role(role)
        )
        return answer.status_code, answer.json().get("error", {}).get("code")

    row = listed()[message]
    assert (row["from"], row["body"], row["channel"]) == (phone, "Which door?", "SMS")
    for role in ("technician", "agent", "customer", "finance"):
        assert gateway.get("/messages/unmatched", role=role).status_code == 403
        assert attach(ticket, role) == (403, "FORBIDDEN")
    assert attach(str(uuid4())) == (404, "TICKET_NOT_FOUND")
    assert attach("none") == (400, "INVALID_REQUEST")
    assert attach(ticket, message=str(uuid4())) == (404, "MESSAGE_NOT_FOUND")
    assert attach(ticket) == attach(ticket) == (200, None)
    assert attach(other) == (409, "MESSAGE_ALREADY_ATTACHED")
    assert message not in listed()
    events = [each for each in timeline(gateway, ticket) if each["tool_name"] == "sms.inbound"]
    assert len(events) == 1
    filed = events[0]["payload"]
    assert (filed["attached_by"]["actor_id"], filed["body"]) == ("dispatcher-1", "Which door?")
    assert events[0]["payload"]["from_phone"].startswith("redacted:")


async def test_whose_accounts_are_limited_sees_no_message_without_a_ticket(
    gateway: TestGateway,
) -> None:
    limited = gateway.as_role("dispatcher", X_Account_Scope=gateway.account_id)
    answer = gateway.http.get("/messages/unmatched", headers=limited)
    assert (answer.status_code, answer.json()["error"]["code"]) == (403, "FORBIDDEN_SCOPE")
