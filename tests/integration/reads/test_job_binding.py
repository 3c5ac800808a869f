"""A technician bound to one job gets nothing of another's, whichever route is asked."""

from typing import Any
from uuid import uuid4

import pytest

from policy.model import Role
from policy.rules.bundle import load_bundle
from tests.integration.evidence.test_evidence_routes import presigned, recorded
from tests.integration.servers.gateway import TestGateway

pytest_plugins = ["tests.integration.servers.stack_fixture"]


@pytest.fixture(scope="module")
def paths(gateway: TestGateway) -> dict[str, str]:
    """Return the routes of a ticket that are no tools, by what they are asked for."""
    ticket = gateway.ticket_in_progress()
    item = recorded(gateway, ticket, b"a note of the job")
    upload = presigned(gateway, ticket, b"another note")["upload_id"]
    return {
        "dossier": f"/tickets/{ticket}/dossier",
        "link": f"/tickets/{ticket}/evidence/{item['id']}/link",
        "original": f"/tickets/{ticket}/evidence/{item['id']}/link?variant=original",
        "upload": f"/tickets/{ticket}/evidence/uploads/{upload}",
        "escalations": f"/tickets/{ticket}/escalations",
        "packet": PACKET.replace("{ticketId}", ticket),
    }


PACKET = load_bundle().tools["tech.job_packet"].route
WANTED = ("dossier", "link", "original", "upload", "escalations", "packet")


@pytest.mark.parametrize("wanted", WANTED)
def test_another_technicians_job_is_closed_and_the_own_one_open(
    gateway: TestGateway, paths: dict[str, str], wanted: str
) -> None:
    def ask(role: str, **claims: Any) -> Any:  # noqa: ANN401  any JSON value
        return gateway.http.get(paths[wanted], headers=gateway.bearer(role, **claims))

    stranger = ask("technician", technician_id=str(uuid4()))
    assert stranger.status_code == 403, stranger.text
    error = stranger.json()["error"]
    assert (error["code"], error["scope_field"]) == ("FORBIDDEN_SCOPE", "technician_id")
    assert error["target_id"] == gateway.tech_id
    for role, claims in (
        ("technician", {"technician_id": gateway.tech_id}),
        ("technician", {}),
        ("dispatcher", {"technician_id": str(uuid4())}),
    ):
        assert ask(role, **claims).status_code == 200, (role, claims)


@pytest.mark.parametrize("wanted", ["dossier", "link"])
def test_nobodys_job_is_no_technicians(gateway: TestGateway, wanted: str) -> None:
    ticket = gateway.new_ticket()
    item = recorded(gateway, ticket, b"before the dispatch")
    path = {
        "dossier": f"/tickets/{ticket}/dossier",
        "link": f"/tickets/{ticket}/evidence/{item['id']}/link",
    }[wanted]
    who = gateway.bearer(Role.TECHNICIAN.value, technician_id=gateway.tech_id)
    answer = gateway.http.get(path, headers=who)
    assert answer.status_code == 403
    assert answer.json()["error"]["target_id"] is None
