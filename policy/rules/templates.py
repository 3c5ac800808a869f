"""Closeout templates: the evidence and checklist keys each incident type must prove."""

import tomllib
from importlib.resources.abc import Traversable
from typing import Any

from policy.model import Frozen


class InvalidTemplateSetError(ValueError):
    """A template file that must stop the start; `code` and `path` say which (contract 9.1)."""

    code = "INVALID_TEMPLATE_SET"

    def __init__(self, path: str, reason: str) -> None:
        super().__init__(f"{self.code}: {path}: {reason}")
        self.path = path


class Template(Frozen):
    """What one incident type requires; both key lists are unique and sorted."""

    incident_type: str
    version: str
    required_evidence_keys: tuple[str, ...]
    required_checklist_keys: tuple[str, ...]

    @property
    def keys(self) -> tuple[str, ...]:
        """Everything that it requires."""
        return (*self.required_evidence_keys, *self.required_checklist_keys)


class TemplateSet(Frozen):
    """All templates of one file."""

    schema_version: str
    templates: tuple[Template, ...]

    @property
    def types(self) -> tuple[str, ...]:
        """The incident types that have a template."""
        return tuple(template.incident_type for template in self.templates)

    def find(self, incident_type: str | None) -> Template | None:
        """Return the template of a type, compared trimmed and in upper case, or None."""
        wanted = (incident_type or "").strip().upper()
        return next((t for t in self.templates if t.incident_type == wanted), None)

    @classmethod
    def read(cls, path: Traversable) -> "TemplateSet":
        """Return the templates of a TOML file, or raise `InvalidTemplateSetError`."""
        try:
            document = tomllib.loads(path.read_text("utf-8"))
        except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
            raise InvalidTemplateSetError(str(path), str(error)) from error
        entries = document.get("templates")
        if not isinstance(entries, list) or not entries:
            raise InvalidTemplateSetError(str(path), "the list of templates is empty")
        templates = tuple(_template(str(path), entry) for entry in entries)
        types = [template.incident_type for template in templates]
        if len(set(types)) != len(types):
            raise InvalidTemplateSetError(str(path), "an incident type stands twice")
        return cls(
            schema_version=str(document.get("schema_version") or "unknown"), templates=templates
        )


def _template(path: str, entry: object) -> Template:
    if not isinstance(entry, dict) or not str(entry.get("incident_type") or "").strip():
        raise InvalidTemplateSetError(path, "a template needs an incident_type")
    return Template(
        incident_type=str(entry["incident_type"]).strip().upper(),
        version=str(entry.get("version") or "1.0.0"),
        required_evidence_keys=_keys(path, entry, "required_evidence_keys"),
        required_checklist_keys=_keys(path, entry, "required_checklist_keys"),
    )


def _keys(path: str, entry: dict[str, Any], name: str) -> tuple[str, ...]:
    keys = entry.get(name)
    if not isinstance(keys, list) or not keys:
        raise InvalidTemplateSetError(path, f"{entry['incident_type']}: {name} is empty")
    if not all(isinstance(key, str) and key.strip() for key in keys):
        raise InvalidTemplateSetError(path, f"{entry['incident_type']}: {name} has a blank entry")
    return tuple(sorted({key.strip() for key in keys}))
