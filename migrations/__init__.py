"""Forward-only SQL, one file per noun, applied in the order of the file names."""

import hashlib
from dataclasses import dataclass
from importlib import resources

# A migration never changes once it is in use. These two did, for one release; what they said in it
# is what 0016 adds.
EDITED = {
    "0003_tickets.sql": "79713a662a234a438a956e9aa48483a0bdd931093bf601ba80cf001d3550ce2b",
    "0006_commands.sql": "c2581770e7fa31a2ab13365b5a7cfc8eabd1db3af8b8d3ec14fd93f6f4be7ee3",
}


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

    def is_the_same_as(self, applied_sha256: str) -> bool:
        """Whether a file of this digest, once applied, needs nothing more from this one."""
        return applied_sha256 in {self.sha256, EDITED.get(self.name)}


def scripts() -> tuple[Script, ...]:
    """Return every migration, oldest first."""
    files = [file for file in resources.files(__name__).iterdir() if file.name.endswith(".sql")]
    return tuple(
        Script(file.name, file.read_text("utf-8")) for file in sorted(files, key=lambda f: f.name)
    )
