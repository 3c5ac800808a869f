"""Forward-only SQL, one file per noun, applied in the order of the file names."""

import hashlib
from dataclasses import dataclass
from importlib import resources


@dataclass(frozen=True, slots=True)
class Script:
    """One migration file; each is safe to apply again."""

    name: str
    sql: str

    @property
    def path(self) -> str:
        """Return the file's path in the source tree."""
        return f"migrations/{self.name}"

    @property
    def sha256(self) -> str:
        """Return the lower-case hex digest of the text."""
        return hashlib.sha256(self.sql.encode()).hexdigest()


def scripts() -> tuple[Script, ...]:
    """Return every migration, oldest first."""
    files = [file for file in resources.files(__name__).iterdir() if file.name.endswith(".sql")]
    return tuple(
        Script(file.name, file.read_text("utf-8")) for file in sorted(files, key=lambda f: f.name)
    )
