"""The upkeep of evidence: its workflows, messages and activities."""

from abc import ABC, abstractmethod

from temporalio import activity

from contracts.command import Message

SWEEP_WORKFLOW, AUDIT_WORKFLOW = "EvidenceSweep", "EvidenceAudit"
SWEEP_UPLOADS, AUDIT_EVIDENCE = "evidence.sweep_uploads", "evidence.audit"


class Swept(Message):
    """What a sweep did: uploads given up, objects that a lock keeps, uploads in parts ended."""

    uploads: int = 0
    kept: int = 0
    multiparts: int = 0


class Audited(Message):
    """What a re-hash found: how much was read, and how much of it is not what was recorded.

    `unchecked` are all items in our bucket that no reading can prove: without a SHA-256.
    """

    items: int = 0
    size_bytes: int = 0
    failures: int = 0
    unchecked: int = 0


class EvidenceActivities(ABC):
    """What is done with evidence at set times, for all tenants."""

    @abstractmethod
    @activity.defn(name=SWEEP_UPLOADS)
    async def sweep_uploads(self) -> Swept:
        """Give up uploads whose time is over and remove their bytes; never a finalized one's."""

    @abstractmethod
    @activity.defn(name=AUDIT_EVIDENCE)
    async def audit(self) -> Audited:
        """Hash stored evidence again, as much as the rate allows, and record what differs."""
