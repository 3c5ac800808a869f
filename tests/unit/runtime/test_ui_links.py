"""What operators see in the Temporal UI: the links open it, and each line tells the truth."""

from urllib.parse import parse_qs, urlsplit

import pytest

from activities.ticket.view import APPROVAL, ticket_view
from contracts.ticket import SUMMARY_ATTRIBUTE, attributes_of
from policy.deadlines.sla import sla_of
from policy.model import State
from policy.rules.bundle import load_bundle
from runtime.settings import Settings
from runtime.temporal.destinations import destinations
from runtime.temporal.ui import tickets_page, workflow_page
from tests.unit.facts_builder import NOW, command, ticket

BUNDLE = load_bundle()


def test_the_list_is_of_tickets_alone() -> None:
    url = urlsplit(tickets_page("http://127.0.0.1:8233/", "my space"))
    assert url.path == "/namespaces/my%20space/workflows"
    assert parse_qs(url.query) == {"query": ['WorkflowType = "Ticket"']}
    assert workflow_page("http://h", "default", "ticket-1").endswith("/workflows/ticket-1")


@pytest.mark.parametrize("state", list(State))
def test_the_phase_in_the_list_says_when_somebody_must_approve(state: State) -> None:
    found = ticket(state)
    shown = attributes_of(ticket_view(BUNDLE, found, sla_of(BUNDLE, found, NOW), None))
    waits = state is State.APPROVAL_REQUIRED
    assert shown["DispatchPhase"] == (APPROVAL if waits else BUNDLE.phase_of[state])


@pytest.mark.parametrize("keys", [None, "k:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="])
def test_the_list_shows_no_summary_of_what_is_encrypted(keys: str | None) -> None:
    settings = Settings.model_validate({"payload_keys": keys})
    created = command("ticket.create")
    attributes = destinations(BUNDLE, settings)[created.subject.kind].attributes(created)
    assert attributes is not None
    names = {pair.key.name for pair in attributes}
    assert "DispatchPhase" in names
    assert (SUMMARY_ATTRIBUTE in names) == (keys is None)
