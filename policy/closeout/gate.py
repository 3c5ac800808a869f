"""The closeout gate: is what was done proven well enough (contract 9.2, 9.3)."""

from collections.abc import Mapping, Sequence
from typing import Any

from policy.codes import Code
from policy.command.effects import Denial
from policy.evidence.model import Evidence, LookUp
from policy.evidence.references import invalid_references
from policy.model import Frozen
from policy.rules.bundle import Bundle
from policy.rules.templates import Template
from policy.ticket.facts import CompletionContext, TicketFacts

SIGNATURE_KEY = "signature_or_no_signature_reason"
MANUAL_BYPASS = "dispatch.manual_bypass"


class Attempt(Frozen):
    """What a completion claims: the checklist, the reason for no signature, the references.

    `missing` tells that a stored context was needed and none was found. No `evidence_refs` means
    that every uri of the ticket is judged.
    """

    checklist: Mapping[str, Any] = {}
    no_signature_reason: str | None = None
    evidence_refs: tuple[str, ...] = ()
    missing: bool = False


class GateResult(Frozen):
    """The verdict of the gate, with everything an answer or a packet shows of it."""

    code: str
    incident_type: str | None
    template: Template | None = None
    missing_evidence_keys: tuple[str, ...] = ()
    missing_checklist_keys: tuple[str, ...] = ()
    excepted_evidence_keys: tuple[str, ...] = ()
    invalid_evidence_refs: tuple[str, ...] = ()
    signature_satisfied: bool = False
    no_signature_reason: str | None = None
    provided_evidence_keys: tuple[str, ...] = ()
    checked: tuple[str, ...] = ()

    @property
    def ready(self) -> bool:
        """Whether the ticket may pass."""
        return self.code == "READY"

    @property
    def template_version(self) -> str | None:
        """The version of the template that judged, None where none was reached."""
        return None if self.template is None else self.template.version

    def shape(self) -> dict[str, Any]:
        """Return G."""
        return {"ready": self.ready, "code": self.code, **self._common()}

    def denial(self) -> Denial:
        """Return the refusal of a gate that is not ready."""
        return Denial(code=Code.CLOSEOUT_REQUIREMENTS_INCOMPLETE, details=self.details())

    def details(self) -> dict[str, Any]:
        """Return the fields of the refusal (contract 9.2), all always present."""
        common = self._common()
        excepted = common.pop("excepted_evidence_keys")
        return {
            "requirement_code": self.code,
            **common,
            "invalid_evidence_refs": list(self.invalid_evidence_refs),
            "excepted_evidence_keys": excepted,
        }

    def _common(self) -> dict[str, Any]:
        return {
            "incident_type": self.incident_type,
            "template_version": self.template_version,
            "missing_evidence_keys": list(self.missing_evidence_keys),
            "missing_checklist_keys": list(self.missing_checklist_keys),
            "excepted_evidence_keys": list(self.excepted_evidence_keys),
        }


def stored_attempt(context: CompletionContext | None, *, needed: bool = True) -> Attempt:
    """Return the attempt of a stored completion context.

    A manual bypass claims nothing, whatever further keys its request had.
    """
    if context is None:
        return Attempt(missing=needed)
    if context.tool_name == MANUAL_BYPASS:
        return Attempt()
    checklist = context.request.get("checklist_status")
    reason = context.request.get("no_signature_reason")
    refs = context.request.get("evidence_refs")
    return Attempt(
        checklist=checklist if isinstance(checklist, dict) else {},
        no_signature_reason=_reason(reason),
        evidence_refs=tuple(str(ref).strip() for ref in refs) if isinstance(refs, list) else (),
    )


def run_gate(
    bundle: Bundle, facts: TicketFacts, attempt: Attempt, *, all_uris: bool = False
) -> GateResult:
    """Return the verdict of the gate on the ticket of `facts`, checks in the contract's order."""
    incident_type = _incident_type(facts)
    keys = _evidence_keys(facts.evidence)
    reason = _reason(attempt.no_signature_reason)
    signed = reason is not None or SIGNATURE_KEY in keys or _has_signature(facts.evidence)
    base = GateResult(
        code="READY",
        incident_type=incident_type,
        no_signature_reason=reason,
        signature_satisfied=signed or SIGNATURE_KEY in facts.excepted_keys,
        provided_evidence_keys=tuple(sorted(keys)),
        checked=tuple(sorted(key for key, value in attempt.checklist.items() if value is True)),
    )
    if incident_type is None:
        return base.model_copy(update={"code": "TEMPLATE_NOT_FOUND"})
    if attempt.missing:
        return base.model_copy(update={"code": "MISSING_COMPLETION_CONTEXT"})
    if not base.signature_satisfied:
        missing = {"missing_evidence_keys": (SIGNATURE_KEY,)}
        return base.model_copy(update={"code": "MISSING_SIGNATURE_CONFIRMATION", **missing})
    template = bundle.templates.find(incident_type)
    refs = attempt.evidence_refs if attempt.evidence_refs and not all_uris else None
    invalid = _invalid(bundle, facts.evidence, refs, template, facts.look_ups)
    present = keys | ({SIGNATURE_KEY} if signed else set())
    return _requirements(base, template, invalid, frozenset(present), facts.excepted_keys)


def reference_gate(bundle: Bundle, facts: TicketFacts) -> GateResult:
    """Return the verdict on the references alone, READY unless one of all uris is invalid."""
    incident_type = _incident_type(facts)
    template = bundle.templates.find(incident_type)
    invalid = _invalid(bundle, facts.evidence, None, template, facts.look_ups)
    return GateResult(
        code="INVALID_EVIDENCE_REFERENCE" if invalid else "READY",
        incident_type=incident_type,
        template=template,
        invalid_evidence_refs=invalid,
    )


def _incident_type(facts: TicketFacts) -> str | None:
    stored = (facts.ticket.incident_type if facts.ticket else None) or ""
    return stored.strip().upper() or None


def _requirements(
    base: GateResult,
    template: Template | None,
    invalid: tuple[str, ...],
    present: frozenset[str],
    excepted: frozenset[str],
) -> GateResult:
    required = frozenset(template.required_evidence_keys if template else ())
    checklist = template.required_checklist_keys if template else ()
    found: dict[str, Any] = {
        "template": template,
        "excepted_evidence_keys": tuple(sorted((required & excepted) - present)),
    }
    if invalid:
        found |= {"code": "INVALID_EVIDENCE_REFERENCE", "invalid_evidence_refs": invalid}
    elif template is None:
        found |= {"code": "TEMPLATE_NOT_FOUND"}
    else:
        evidence_gap = tuple(sorted(required - present - excepted))
        checklist_gap = tuple(key for key in checklist if key not in base.checked)
        found |= {
            "code": _requirement_code(evidence_gap, checklist_gap),
            "missing_evidence_keys": evidence_gap,
            "missing_checklist_keys": checklist_gap,
        }
    return base.model_copy(update=found)


def _requirement_code(evidence_gap: tuple[str, ...], checklist_gap: tuple[str, ...]) -> str:
    if evidence_gap and checklist_gap:
        return "MISSING_REQUIREMENTS"
    if evidence_gap:
        return "MISSING_EVIDENCE"
    return "MISSING_CHECKLIST" if checklist_gap else "READY"


def _invalid(
    bundle: Bundle,
    evidence: Sequence[Evidence],
    refs: Sequence[str] | None,
    template: Template | None,
    look_ups: Mapping[str, LookUp] | None,
) -> tuple[str, ...]:
    listed = [row.uri for row in evidence] if refs is None else refs
    required = template.required_evidence_keys if template else ()
    return invalid_references(bundle.evidence, evidence, listed, required, look_ups)


def _evidence_keys(evidence: Sequence[Evidence]) -> set[str]:
    return {row.evidence_key for row in evidence if row.evidence_key}


def _has_signature(evidence: Sequence[Evidence]) -> bool:
    return any(row.kind.strip().upper() == "SIGNATURE" for row in evidence)


def _reason(value: object) -> str | None:
    return (value.strip() or None) if isinstance(value, str) else None
