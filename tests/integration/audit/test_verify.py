"""`dispatch verify` vouches for honest data and names exactly the row that was tampered with."""

import asyncio
import sys
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from uuid import UUID, uuid4

import orjson
import pytest

from cli import main as cli
from policy.audit.chain import Fault
from policy.audit.shape import timeline_shape
from policy.canonical import sha256_hex
from policy.evidence.model import StoredObject
from policy.model import Role
from policy.rules.bundle import load_bundle
from records.audit.verification import CHECKED_TABLES, BlindRoleError, Scope, Verification
from runtime.key_ring import new_key
from runtime.postgres.pool import Connection, Pool
from tests.integration.audit.tampering import AUDIT, CHANGES, GONE, MADE_UP, TRANSITION
from tests.integration.command.command_runner import CHECKLIST, WINDOW, Runner, build_runner

pytest_plugins = ["tests.integration.servers.postgres_fixture"]

SHA256 = "ab" * 32
ANNOUNCED = {
    "kind": "PHOTO",
    "evidence_key": "photo_site",
    "content_type": "image/jpeg",
    "size_bytes": 7,
    "sha256": SHA256,
}
WITH_SECRETS = {
    "kind": "NOTE",
    "uri": " s3://evidence/a note ",
    "checksum": "c1",
    "metadata": {"access_code": "1234", "weight": 1.50, "at": [{"phone": "555"}, None, True]},
}

ACCEPTED = """
INSERT INTO command_log (command_id, tool_name, endpoint, actor_type, actor_id, actor_role,
    request_id, request_hash, policy_bundle_version, policy_bundle_sha256)
SELECT $1, tool_name, endpoint, actor_type, actor_id, actor_role,
       request_id, request_hash, policy_bundle_version, policy_bundle_sha256
  FROM command_log WHERE command_id = $2
"""


@pytest.fixture
async def runner(pool: Pool, owner: Connection) -> Runner:
    return await build_runner(pool, owner)


async def closed(runner: Runner) -> UUID:
    """Bring a ticket to CLOSED, with every kind of row on the way."""
    ticket = await runner.in_progress()
    change = {"approval_type": "PROPOSAL", "reason": "More work"}
    approval = (await runner.done("tech.request_change", change, ticket))["approval"]["id"]
    decision = {"approval_id": approval, "decision": "APPROVED"}
    await runner.done("approval.decide", decision, ticket)
    await runner.add_evidence(ticket)
    await runner.done("closeout.add_evidence", WITH_SECRETS, ticket)
    uploaded = await runner.done("evidence.presign", ANNOUNCED, ticket)
    stored = StoredObject(size_bytes=7, sha256=SHA256, content_type="image/jpeg", version_id="v1")
    runner.memory.held = {uploaded["object_key"]: stored}
    finalized = {"uri": uploaded["uri"], "metadata": {"email": "a@b.example"}}
    await runner.done("evidence.finalize", finalized, ticket)
    assert (await runner.run("tech.complete", {"checklist_status": {}}, ticket)).status == 409
    await runner.done("tech.complete", {"checklist_status": CHECKLIST}, ticket)
    verdict = {"timestamp": WINDOW["end"], "result": "PASS"}
    await runner.done("qa.verify", verdict, ticket)
    late = {"kind": "NOTE", "uri": "s3://evidence/late"}
    await runner.done("closeout.add_evidence", late, ticket)
    await runner.done("billing.generate_invoice", {}, ticket)
    await runner.done("ticket.close", {"reason": "Done"}, ticket)
    return ticket


async def tamper(runner: Runner, statement: str, *values: object) -> object:
    """Run a statement as the superuser can: no trigger, no foreign key; return its value."""
    async with runner.owner.transaction():
        await runner.owner.execute("SET LOCAL session_replication_role = replica")
        return await runner.owner.fetchval(statement, *values)


async def verify(url: str, scope: Scope | None = None) -> list[Fault]:
    check = Verification(url, frozenset(load_bundle().pairs), scope or Scope())
    return [fault async for fault in check.faults()]


def named(faults: Iterable[Fault]) -> list[tuple[str, str | None]]:
    return [(fault.table, fault.row_id) for fault in faults]


@asynccontextmanager
async def undone(runner: Runner) -> AsyncIterator[None]:
    """Put every checked row back afterwards."""
    for table in CHECKED_TABLES:
        await runner.owner.execute(f"CREATE TABLE IF NOT EXISTS saved.{table} AS TABLE {table}")
    yield
    for table in CHECKED_TABLES:
        await tamper(runner, f"DELETE FROM {table}")  # noqa: S608  our own names
        saved = f"SELECT * FROM saved.{table}"  # noqa: S608
        await tamper(runner, f"INSERT INTO {table} OVERRIDING SYSTEM VALUE {saved}")


async def test_honest_data_is_whole(runner: Runner, database_url: str) -> None:
    ticket = await closed(runner)
    key = str(uuid4())
    place = {"account_id": str(runner.account), "site_id": str(runner.site), "summary": "Twice"}
    other = runner.command("ticket.create", place, request_id=key)
    await runner.send(other)
    repeated = other.model_copy(update={"command_id": uuid4()})
    await runner.owner.execute(ACCEPTED, repeated.command_id, other.command_id)
    await runner.send(repeated)
    cancelled = await runner.scheduled()
    await runner.done("ticket.cancel", {"reason": "Gone"}, cancelled)
    bypassed = await runner.in_progress()
    await runner.done("dispatch.manual_bypass", {"bypass_rationale": "Storm"}, bypassed)
    forced = {
        "override_code": "OVERRIDE-1",
        "override_reason": "The customer moved out yesterday",
        "approver_role": "dispatcher",
    }
    await runner.done("ticket.force_close", forced, bypassed, Role.DISPATCHER)
    await runner.done("ops.autonomy.pause", {"scope_type": "GLOBAL", "reason": "Storm"})
    await runner.done("ops.autonomy.pause", {"scope_type": "TICKET", "ticket_id": str(ticket)})

    check = Verification(database_url, frozenset(load_bundle().pairs))
    assert [fault async for fault in check.faults()] == []
    for table, rows in check.rows.items():
        assert rows == await runner.owner.fetchval(f"SELECT count(*) FROM {table}"), table  # noqa: S608
    assert await verify(database_url, Scope(ticket=ticket)) == []
    assert await verify(database_url, Scope(tenant="default")) == []


async def test_an_imported_ticket_is_no_fault(runner: Runner, database_url: str) -> None:
    imported = await runner.owner.fetchval(
        "INSERT INTO tickets (account_id, site_id, summary, state, version, incident_type)"
        " VALUES ($1, $2, 'Old', 'IN_PROGRESS', 7, 'DOOR_WONT_LATCH') RETURNING id",
        runner.account,
        runner.site,
    )
    await runner.owner.execute(
        "INSERT INTO evidence_items (ticket_id, kind, uri) VALUES ($1, 'PHOTO', 's3://old/1')",
        imported,
    )
    assert await verify(database_url) == []
    await runner.add_evidence(imported)
    await runner.done("tech.complete", {"checklist_status": CHECKLIST}, imported)
    verdict = {"timestamp": WINDOW["end"], "result": "PASS"}
    await runner.done("qa.verify", verdict, imported)
    await runner.done("ticket.close", {}, imported)
    assert await verify(database_url) == []


async def test_each_changed_row_is_named_and_no_other(runner: Runner, database_url: str) -> None:
    ticket = await closed(runner)
    await closed(runner)
    await runner.owner.execute("CREATE SCHEMA saved")
    for table, statement, change in CHANGES:
        async with undone(runner):
            row_id = await tamper(runner, statement.format(change), ticket)
            assert row_id is not None, change
            assert named(await verify(database_url)) == [(table, str(row_id))], change
    assert await verify(database_url) == []


async def test_each_deleted_row_is_missed(runner: Runner, database_url: str) -> None:
    ticket = await closed(runner)
    await closed(runner)
    await runner.owner.execute("CREATE SCHEMA saved")
    for table, which in GONE:
        column = "id" if table == "tickets" else "ticket_id"
        where = f"{column} = $1 AND {which}"
        if table == "idempotency_keys":
            where = f"command_id IN (SELECT command_id FROM command_log WHERE {where})"  # noqa: S608
        async with undone(runner):
            await tamper(runner, f"DELETE FROM {table} WHERE {where}", ticket)  # noqa: S608
            faults = await verify(database_url)
            assert [fault.table for fault in faults] == [table], (which, faults)
            assert faults[0].ticket_id == str(ticket)
    assert await verify(database_url) == []


async def test_a_row_rewritten_with_its_hash_is_betrayed_by_the_next(
    runner: Runner, database_url: str
) -> None:
    ticket = await closed(runner)
    row = await runner.row(
        "SELECT *, actor_type::text, before_state::text, after_state::text FROM audit_events"
        " WHERE ticket_id = $1 AND seq = 2",
        ticket,
    )
    row["payload"]["request"]["priority"] = "EMERGENCY"
    await tamper(
        runner,
        "UPDATE audit_events SET payload = $2::jsonb, hash = $3 WHERE id = $1",
        row["id"],
        orjson.dumps(row["payload"]).decode(),
        sha256_hex(timeline_shape(row)),
    )
    assert named(await verify(database_url)) == [("audit_events", str(row["id"]))]


async def test_rows_that_nobody_recorded_are_named(runner: Runner, database_url: str) -> None:
    ticket = await closed(runner)
    made_up = [await tamper(runner, statement, ticket) for statement in MADE_UP]
    faults = await verify(database_url)
    assert [row_id for _, row_id in named(faults)] == [str(row_id) for row_id in made_up]


async def test_a_transition_moved_to_another_ticket_is_named(
    runner: Runner, database_url: str
) -> None:
    ticket, other = await closed(runner), await closed(runner)
    move = f"ticket_id = '{other}'"
    row_id = await tamper(runner, TRANSITION.format(move), ticket)
    faults = await verify(database_url)
    assert [(fault.row_id, fault.ticket_id) for fault in faults] == [
        (str(row_id), str(ticket)),
        (None, str(ticket)),
    ]


async def test_a_state_changed_behind_the_back_of_commands_stays_visible(
    runner: Runner, database_url: str
) -> None:
    ticket = await runner.in_progress()
    await runner.owner.execute("UPDATE tickets SET state = 'SCHEDULED' WHERE id = $1", ticket)
    await runner.done("assignment.dispatch", {"tech_id": str(runner.tech)}, ticket)
    faults = await verify(database_url)
    assert named(faults) == [("tickets", str(ticket))]
    assert "no command did that" in faults[0].problem


async def test_a_tenant_chain_is_checked_too(runner: Runner, database_url: str) -> None:
    for reason in ("Storm", "More storm"):
        await runner.done("ops.autonomy.pause", {"scope_type": "GLOBAL", "reason": reason})
    row_id = await tamper(
        runner,
        "UPDATE audit_events SET actor_id = 'x' WHERE ticket_id IS NULL AND seq = 1 RETURNING id",
    )
    assert named(await verify(database_url)) == [("audit_events", str(row_id))]
    assert await verify(database_url, Scope(tenant="other")) == []


async def test_a_login_that_sees_one_tenant_is_refused(runner: Runner, database_url: str) -> None:
    login = f"blind_{uuid4().hex}"
    await runner.owner.execute(f"CREATE ROLE {login} LOGIN IN ROLE dispatch_app")
    url = database_url.replace("postgres:", f"{login}:", 1).replace("//postgres", f"//{login}")
    try:
        with pytest.raises(BlindRoleError, match="does not see every row of audit_events"):
            await verify(url)
    finally:
        await runner.owner.execute(f"DROP ROLE {login}")


async def test_the_command_prints_the_tampered_row_and_exits_with_1(
    runner: Runner,
    database_url: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    ticket = await closed(runner)
    monkeypatch.setenv("DISPATCH_DATABASE_URL", database_url)
    for missing in ("DISPATCH_SIGNING_KEYS", "DISPATCH_S3_BUCKET"):
        assert await dispatch(monkeypatch, "verify") == 1
        assert f"{missing} is not set" in capsys.readouterr().err
        assert await dispatch(monkeypatch, "verify", "--allow-unanchored") == 0
        assert capsys.readouterr().out.endswith("whole\n")
        monkeypatch.setenv("DISPATCH_SIGNING_KEYS", new_key("one"))

    row_id = await tamper(runner, AUDIT.format("actor_id = 'somebody'"), ticket)
    assert await dispatch(monkeypatch, "verify", "--allow-unanchored") == 1
    output = capsys.readouterr().out
    assert f"audit_events {row_id} of ticket {ticket}: seq 3: its hash is not" in output
    assert "TAMPERED" in output

    assert await dispatch(monkeypatch, "verify", "--json", "--ticket", str(ticket)) == 1
    document = orjson.loads(capsys.readouterr().out)
    assert not document["whole"]
    assert document["faults"][0]["row_id"] == str(row_id)
    assert await dispatch(monkeypatch, "verify", "--ticket", str(uuid4())) == 1


async def dispatch(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> object:
    monkeypatch.setattr(sys, "argv", ["dispatch", *arguments])

    def run() -> object:
        with pytest.raises(SystemExit) as ending:
            cli.main()
        return ending.value.code

    return await asyncio.to_thread(run)
