"""The closeout gate: is what was done proven well enough (contract 9.2, 9.3)."""

from collections.abc import Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Any

from policy.codes import Code
from policy.command.effects import Denial
from policy.evidence.model import Evidence, LookUp
from policy.evidence.references import invalid_references
from policy.model import Frozen
from policy.rules.bundle import Bundle
from policy.rules.templates import Template
from policy.rules.vocabulary import TEMPLATE_NOT_FOUND, near_types
from policy.ticket.facts import CompletionContext, TicketFacts

SIGNATURE_KEY = "signature_or_no_signature_reason"
MANUAL_BYPASS = "dispatch.manual_bypass"


_UNJUDGED: Mapping[str, Any] = MappingProxyType(
    {
        "template": None,
        "missing_evidence_keys": (),
        "missing_checklist_keys": (),
        "excepted_evidence_keys": (),
        "invalid_evidence_refs": (),
    }
)


class Attempt(Frozen):
    """What a completion claims: the checklist, the reason for no signature, the references.

    `missing` tells that a stored context was needed and none was found. No `evidence_refs` means
    that every uri of the ticket is judged.
    """

    checklist: Mapping[str, Any] = {}
    no_signature_reason: str | None = None
    evidence_refs: tuple[str, ...] = ()
    missing: bool = False


class Outstanding(Frozen):
    """Everything that keeps a ticket from passing, whichever check stopped first.

    `near` are types that have a template, where the ticket's own has none.
    """

    requirement_codes: tuple[str, ...] = ()
    evidence_keys: tuple[str, ...] = ()
    checklist_keys: tuple[str, ...] = ()
    invalid_evidence_refs: tuple[str, ...] = ()
    near: tuple[str, ...] = ()


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
    outstanding: Outstanding = Outstanding()

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
            "outstanding": self.outstanding.model_dump(mode="json"),
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
    template = bundle.templates.find(incident_type)
    keys = _evidence_keys(facts.evidence)
    reason = _reason(attempt.no_signature_reason)
    signed = reason is not None or SIGNATURE_KEY in keys or _has_signature(facts.evidence)
    refs = attempt.evidence_refs if attempt.evidence_refs and not all_uris else None
    base = GateResult(
        code="READY",
        incident_type=incident_type,
        template=template,
        invalid_evidence_refs=_invalid(bundle, facts.evidence, refs, template, facts.look_ups),
        signature_satisfied=signed or SIGNATURE_KEY in facts.excepted_keys,
        no_signature_reason=reason,
        provided_evidence_keys=tuple(sorted(keys)),
        checked=tuple(sorted(key for key, value in attempt.checklist.items() if value is True)),
    )
    present = frozenset(keys | ({SIGNATURE_KEY} if signed else set()))
    whole = _with_gaps(base, present, facts.excepted_keys)
    codes = tuple(_codes(whole, attempt))
    outstanding = Outstanding(
        requirement_codes=codes,
        evidence_keys=whole.missing_evidence_keys,
        checklist_keys=whole.missing_checklist_keys,
        invalid_evidence_refs=whole.invalid_evidence_refs,
        near=tuple(near_types(bundle, incident_type)) if incident_type and not template else (),
    )
    return _first(whole, codes, outstanding)


def _with_gaps(base: GateResult, present: frozenset[str], excepted: frozenset[str]) -> GateResult:
    """Return all that is missing, or excepted, whatever kind it is."""
    template = base.template
    required = frozenset(template.required_evidence_keys if template else ())
    unsigned = set() if base.signature_satisfied else {SIGNATURE_KEY}
    checklist = template.required_checklist_keys if template else ()
    found = {
        "excepted_evidence_keys": tuple(sorted((required & excepted) - present)),
        "missing_evidence_keys": tuple(sorted((required - present - excepted) | unsigned)),
        "missing_checklist_keys": tuple(key for key in checklist if key not in base.checked),
    }
    return base.model_copy(update=found)


def _codes(whole: GateResult, attempt: Attempt) -> Iterator[str]:
    """Yield what every check of contract 9.2 says, in their order."""
    if whole.incident_type is None:
        yield TEMPLATE_NOT_FOUND
    if attempt.missing:
        yield "MISSING_COMPLETION_CONTEXT"
    if not whole.signature_satisfied:
        yield "MISSING_SIGNATURE_CONFIRMATION"
    if whole.invalid_evidence_refs:
        yield "INVALID_EVIDENCE_REFERENCE"
    if whole.template is None:
        if whole.incident_type is not None:
            yield TEMPLATE_NOT_FOUND
    elif whole.missing_evidence_keys and whole.missing_checklist_keys:
        yield "MISSING_REQUIREMENTS"
    elif whole.missing_evidence_keys:
        yield "MISSING_EVIDENCE"
    elif whole.missing_checklist_keys:
        yield "MISSING_CHECKLIST"


def _first(whole: GateResult, codes: tuple[str, ...], outstanding: Outstanding) -> GateResult:
    """Return the verdict of the first check that fails, and of what it judges no more than that."""
    told: dict[str, Any] = {"outstanding": outstanding, "code": codes[0] if codes else "READY"}
    match told["code"]:
        case "READY" | "MISSING_REQUIREMENTS" | "MISSING_EVIDENCE" | "MISSING_CHECKLIST":
            return whole.model_copy(update=told)
        case "INVALID_EVIDENCE_REFERENCE":
            return whole.model_copy(
                update={**told, "missing_evidence_keys": (), "missing_checklist_keys": ()}
            )
        case "MISSING_SIGNATURE_CONFIRMATION":
            told["missing_evidence_keys"] = (SIGNATURE_KEY,)
    return whole.model_copy(update={**_UNJUDGED, **told})


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
