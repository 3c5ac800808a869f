"""What a process has done so far, for its last log record."""

from dataclasses import asdict, dataclass
from typing import Any


@dataclass
class Tally:
    """Counts since the start of the process (contract 16.2, worker.shutdown_complete)."""

    cycles: int = 0
    api_calls: int = 0
    recommendations: int = 0
    dispatches: int = 0
    skipped: int = 0
    errors: int = 0
    last_error: str | None = None

    def failed(self, reason: str) -> None:
        """Count an error."""
        self.errors += 1
        self.last_error = reason

    def fields(self) -> dict[str, Any]:
        """Return the fields of the log record."""
        return asdict(self)
