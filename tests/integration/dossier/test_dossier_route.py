"""The routes of dossier and draft invoice: who may have them, and what they are."""

import codecs
import csv
from collections.abc import AsyncIterator, Mapping
from io import StringIO
from uuid import UUID, uuid4

import httpx
import pytest

from policy.dossier.verifier import read_keys, verify
from records.audit.signing_keys import SigningKeys
from runtime.key_ring import new_key
from runtime.postgres.pool import Connection, Pool
from runtime.settings import Settings
from tests.integration.command.command_runner import CHECKLIST, WINDOW, Runner, build_runner
from tests.integration.servers.gateway import TestGateway
from tests.integration.servers.in_process import serving

pytest_plugins = [
    "tests.integration.servers.postgres_fixture",
    "tests.integration.servers.s3_fixture",
]

READERS = {"dispatcher", "agent", "technician", "qa", "approver", "finance", "audit"}
PAYERS = {"finance", "dispatcher", "approver", "admin", "audit"}
ROLES = READERS | PAYERS | {"customer", "ops"}
KEY = new_key("issuer")
LINES = [
    {"kind": "LABOUR", "description": "Türschließer", "quantity": 2, "unit_price_cents": 11000},
    {"kind": "TAX", "description": "Tax", "amount_cents": 2000},
]
PASS = {"timestamp": WINDOW["end"], "result": "PASS"}


@pytest.fixture
async def runner(pool: Pool, owner: Connection) -> Runner:
    return await build_runner(pool, owner)


@pytest.fixture
def env(database_url: str, s3_settings: Settings) -> Mapping[str, str]:
    secret = s3_settings.s3_secret_access_key
    assert secret is not None
    return {
        "DISPATCH_ENV": "test",
        "DISPATCH_DATABASE_URL": database_url,
        "DISPATCH_SIGNING_KEYS": KEY,
        "DISPATCH_S3_ENDPOINT_URL": s3_settings.s3_endpoint_url or "",
        "DISPATCH_S3_BUCKET": s3_settings.s3_bucket or "",
        "DISPATCH_S3_ACCESS_KEY_ID": s3_settings.s3_access_key_id or "",
        "DISPATCH_S3_SECRET_ACCESS_KEY": secret.get_secret_value(),
    }


@pytest.fixture
async def http(env: Mapping[str, str]) -> AsyncIterator[httpx.AsyncClient]:
    async with serving(env) as client:
        yield client


async def verified(runner: Runner, nte_cents: int = 0) -> UUID:
    """Bring a ticket to VERIFIED, with an approved increase of 140 dollars."""
    ticket = await runner.in_progress()
    await runner.owner.execute("UPDATE tickets SET nte_cents = $2 WHERE id = $1", ticket, nte_cents)
    change = {"approval_type": "NTE_INCREASE", "reason": "Strike", "amount_delta_cents": 14000}
    approval = (await runner.done("tech.request_change", change, ticket))["approval"]["id"]
    await runner.done("approval.decide", {"approval_id": approval, "decision": "APPROVED"}, ticket)
    await runner.add_evidence(ticket)
    await runner.done("tech.complete", {"checklist_status": CHECKLIST}, ticket)
    await runner.done("qa.verify", PASS, ticket)
    return ticket


async def get(
    http: httpx.AsyncClient, path: str, role: str = "finance", **params: str
) -> httpx.Response:
    return await http.get(path, params=params, headers=TestGateway.as_role(role))


async def test_the_dossier_is_whole_and_only_its_readers_get_it(
    http: httpx.AsyncClient, runner: Runner
) -> None:
    ticket = await verified(runner)
    answer = await get(http, f"/tickets/{ticket}/dossier")
    assert answer.headers["content-type"] == "application/zip"
    assert f"dossier-{ticket}.zip" in answer.headers["content-disposition"]
    found = verify(answer.content, read_keys(SigningKeys.read([KEY]).public_entries()))
    assert (found["ticket_id"], found["state"]) == (str(ticket), "VERIFIED")
    for role in sorted(ROLES):
        status = (await get(http, f"/tickets/{ticket}/dossier", role)).status_code
        assert status == (200 if role in READERS else 403), role


@pytest.mark.parametrize("path", ["/tickets/{}/dossier", "/tickets/{}/invoice"])
async def test_ids_and_scopes_are_checked(
    http: httpx.AsyncClient, runner: Runner, path: str
) -> None:
    ticket = str(await runner.create())

    async def code(subject: str, **headers: str) -> tuple[int, str]:
        identity = TestGateway.as_role("finance", **headers)
        answer = await http.get(path.format(subject), headers=identity)
        return answer.status_code, answer.json()["error"]["code"]

    assert await code("no-id") == (400, "INVALID_TICKET_ID")
    assert await code(str(uuid4())) == (404, "TICKET_NOT_FOUND")
    assert await code(ticket, X_Account_Scope=str(uuid4())) == (403, "FORBIDDEN_SCOPE")
    assert await code(ticket, X_Site_Scope=str(uuid4())) == (403, "FORBIDDEN_SCOPE")


async def test_an_imported_ticket_has_no_dossier_before_its_first_command(
    http: httpx.AsyncClient, runner: Runner
) -> None:
    ticket = await runner.owner.fetchval(
        "INSERT INTO tickets (account_id, site_id, summary) VALUES ($1, $2, 'Old') RETURNING id",
        runner.account,
        runner.site,
    )
    assert (await get(http, f"/tickets/{ticket}/dossier")).status_code == 404
    assert (await get(http, f"/tickets/{ticket}/invoice")).status_code == 200


async def test_without_a_key_there_are_no_dossiers(env: Mapping[str, str], runner: Runner) -> None:
    ticket = await runner.create()
    unsigned = {name: text for name, text in env.items() if name != "DISPATCH_SIGNING_KEYS"}
    async with serving(unsigned) as http:
        answer = await get(http, f"/tickets/{ticket}/dossier")
    assert (answer.status_code, answer.json()["error"]["code"]) == (404, "NOT_FOUND")


async def test_lines_above_the_limit_are_refused_and_move_nothing(runner: Runner) -> None:
    ticket = await verified(runner, nte_cents=20000)
    too_much = {"lines": [{"description": "Labour", "amount_cents": 34001}]}
    refused = await runner.run("billing.generate_invoice", too_much, ticket)
    assert (refused.status, refused.code) == (409, "NTE_EXCEEDED")
    assert refused.error["policy_error"] == {"dimension": "policy"}
    assert (refused.error["limit_cents"], refused.error["approved_increase_cents"]) == (
        34000,
        14000,
    )
    allowed = {"lines": [{"description": "Labour", "amount_cents": 34000}]}
    answer = await runner.done("billing.generate_invoice", allowed, ticket)
    assert answer["state"] == "INVOICED"


async def test_an_invoice_is_drafted_from_the_record_until_lines_are_supplied(
    http: httpx.AsyncClient, runner: Runner
) -> None:
    ticket = await verified(runner)
    path = f"/tickets/{ticket}/invoice"
    draft = (await get(http, path)).json()
    assert draft["lines_from"].startswith("record")
    kinds = [line["kind"] for line in draft["invoice_lines"]]
    assert kinds == ["CALL_OUT", "LABOUR", "PARTS"]
    (arrival,) = draft["check_ins"]
    assert arrival["doubt"] == "claims an arrival in the future"  # as the runner claims it
    assert arrival["counted_from"] == arrival["recorded_at"]
    for role in sorted(ROLES):
        status = (await get(http, path, role)).status_code
        assert status == (200 if role in PAYERS else 403), role

    await runner.done("billing.generate_invoice", {"lines": LINES}, ticket)
    invoice = (await get(http, path)).json()
    assert invoice["lines_from"] == "caller"
    assert invoice["legal_monetary_total"]["payable_amount_cents"] == 24000
    page = await get(http, path, format="pdf")
    assert (page.headers["content-type"], page.content[:5]) == ("application/pdf", b"%PDF-")
    rows = table((await get(http, path, format="csv")).content)
    assert [row["amount_cents"] for row in rows] == ["22000", "2000"]
    assert rows[0]["item"] == "Türschließer"
    assert (await get(http, path, format="xml")).status_code == 400
    dossier = await get(http, f"/tickets/{ticket}/dossier")
    assert b"invoice.pdf" in dossier.content


def table(content: bytes) -> list[dict[str, str]]:
    """Return the rows of a CSV as a spreadsheet reads them: it knows UTF-8 by its mark only."""
    assert content.startswith(codecs.BOM_UTF8)
    return list(csv.DictReader(StringIO(content.decode("utf-8-sig"))))


async def test_accounting_gets_what_was_invoiced_without_lines_as_the_record_has_it(
    http: httpx.AsyncClient, runner: Runner
) -> None:
    ticket = await verified(runner)

    async def exported(**params: str) -> list[dict[str, str]]:
        content = (await get(http, "/exports/invoices", "finance", **params)).content
        return [row for row in table(content) if row["ticket_id"] == str(ticket)]

    assert await exported() == []
    await runner.done("billing.generate_invoice", {}, ticket)
    draft = (await get(http, f"/tickets/{ticket}/invoice")).json()
    rows = await exported()
    assert [row["kind"] for row in rows] == [line["kind"] for line in draft["invoice_lines"]]
    assert [row["amount_cents"] for row in rows] == [
        str(line["line_extension_amount_cents"]) for line in draft["invoice_lines"]
    ]
    assert await exported(**{"from": "2099-01-01"}) == []
    assert len(await exported(**{"from": rows[0]["issued_at"]})) == len(rows)


async def test_accounting_gets_the_drafts_of_a_time_within_its_scope(
    http: httpx.AsyncClient, runner: Runner
) -> None:
    ticket = await verified(runner)
    await runner.done("billing.generate_invoice", {"lines": LINES}, ticket)

    async def exported(role: str = "finance", **params: str) -> list[str]:
        answer = await get(http, "/exports/invoices", role, **params)
        assert answer.is_success, answer.text
        return [row["ticket_id"] for row in table(answer.content)]

    assert await exported() == [str(ticket)] * 2
    span = {"from": "2020-01-01", "to": "2099-01-01"}
    assert await exported("audit", **span) == [str(ticket)] * 2
    assert await exported(**{"from": "2099-01-01"}) == []
    assert (await get(http, "/exports/invoices", to="soon")).status_code == 400
    assert (await get(http, "/exports/invoices", "dispatcher")).status_code == 403
    elsewhere = TestGateway.as_role("finance", X_Account_Scope=str(uuid4()))
    answer = await http.get("/exports/invoices", headers=elsewhere)
    assert len(answer.text.splitlines()) == 1
