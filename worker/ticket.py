"""The worker of tickets, their deadlines and their evidence."""

from datetime import timedelta

from temporalio.worker import Worker

from activities.evidence.upkeep import EvidenceRates, StoredEvidenceActivities
from activities.ticket.commands import PostgresTicketActivities
from activities.ticket.deadlines.sweep import PostgresSweepActivities
from records.evidence.keeping import EvidenceVault
from records.evidence.store import EvidenceStore
from runtime.settings import Settings
from worker.parts import Parts, worker_of
from workflows.deadlines import DeadlineSweepWorkflow
from workflows.evidence import EvidenceAuditWorkflow, EvidenceSweepWorkflow
from workflows.ticket.workflow import TicketWorkflow


def ticket_worker(parts: Parts) -> Worker:
    """Return the worker that runs tickets."""
    store = EvidenceStore(parts.settings, parts.bundle.evidence)
    tickets = PostgresTicketActivities(parts.pool, parts.bundle, parts.key, store)
    vault, rates = EvidenceVault(store.s3), evidence_rates(parts.settings)
    evidence = StoredEvidenceActivities(parts.pool, vault, rates)
    sweep = PostgresSweepActivities(parts.pool, parts.bundle, parts.client)
    return worker_of(
        parts,
        parts.settings.temporal_task_queue,
        workflows=[
            TicketWorkflow,
            DeadlineSweepWorkflow,
            EvidenceSweepWorkflow,
            EvidenceAuditWorkflow,
        ],
        activities=[
            tickets.execute_command,
            tickets.escalate,
            sweep.sweep,
            sweep.measure,
            evidence.sweep_uploads,
            evidence.audit,
        ],
    )


def evidence_rates(settings: Settings) -> EvidenceRates:
    """Return how this installation looks after its evidence."""
    return EvidenceRates(
        upload_deadline=timedelta(hours=settings.evidence_upload_deadline_hours),
        audit_interval=timedelta(hours=settings.evidence_audit_interval_hours),
        audit_bytes=settings.evidence_audit_bytes_per_minute,
    )
