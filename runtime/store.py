"""Looking evidence up where it is stored (contract 9.5). Every failure is a value."""

from policy.facts import LookUp
from runtime.settings import Settings


class EvidenceStore:
    """The configured object store, for references."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    async def head(self, uri: str, version_id: str | None) -> LookUp:
        """Return what is stored under `uri`."""
        raise NotImplementedError
