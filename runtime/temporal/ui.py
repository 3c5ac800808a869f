"""Where the Temporal UI shows what: links for people, which open what they are meant to show."""

from typing import Final
from urllib.parse import quote

from contracts.ticket import WORKFLOW_TYPE

TICKETS: Final = f'WorkflowType = "{WORKFLOW_TYPE}"'


def tickets_page(origin: str, namespace: str) -> str:
    """Return the list of the tickets' workflows, without those of the upkeep."""
    return f"{_namespace(origin, namespace)}/workflows?query={quote(TICKETS)}"


def workflow_page(origin: str, namespace: str, workflow_id: str) -> str:
    """Return the page of one workflow."""
    return f"{_namespace(origin, namespace)}/workflows/{quote(workflow_id, safe='')}"


def _namespace(origin: str, namespace: str) -> str:
    return f"{origin.rstrip('/')}/namespaces/{quote(namespace, safe='')}"
