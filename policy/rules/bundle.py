"""The policy bundle: the rules as validated, frozen, hashed data."""

import re
import tomllib
from collections.abc import Mapping
from functools import cached_property
from importlib.resources import files
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from policy.canonical import sha256_hex
from policy.model import TERMINAL, Frozen, Role, State
from policy.rules.autonomy import ANY_TYPE, AutonomyRules
from policy.rules.escalation import EscalationRules
from policy.rules.sla import SlaRules
from policy.rules.templates import TemplateSet

NONE = "NONE"
OPEN_STATES = tuple(state for state in State if state not in TERMINAL)
_PARAMETER = re.compile(r"\{(\w+)\}")


class BundleError(ValueError):
    """The bundle is not usable; the process must not start."""


class ToolRule(Frozen):
    """One tool of the closed set: where it is called, by whom, from which states.

    `leads_to` are the states it may end in, if that is not its `result_state` alone.
    `subject` is the kind of what its commands are about; a ticket's may be about the tenant alone.
    """

    method: Literal["GET", "POST"]
    route: str
    roles: tuple[Role, ...]
    from_states: tuple[State, ...] | None = None
    result_state: State | None = None
    leads_to: tuple[State, ...] = ()
    success_status: int = 200
    creates_ticket: bool = False
    subject: str = "ticket"

    @field_validator("from_states", mode="before")
    @classmethod
    def _open(cls, value: object) -> object:
        return OPEN_STATES if value == "open" else value

    @property
    def mutating(self) -> bool:
        """Commands are the POST tools; reads are the GET ones."""
        return self.method == "POST"

    @cached_property
    def path_parameters(self) -> tuple[str, ...]:
        """Names of the route's path parameters, in order."""
        return tuple(_PARAMETER.findall(self.route))

    def leads_on(self, state: State) -> bool:
        """Whether it takes a ticket on from a state; neither to stay nor to cancel does."""
        targets = self.leads_to or (self.result_state,)
        return state in (self.from_states or ()) and any(
            target not in {state, State.CANCELLED, None} for target in targets
        )

    @cached_property
    def requires_ticket_id(self) -> bool:
        """Whether the route names a ticket."""
        return "ticketId" in self.path_parameters


class HoldRules(Frozen):
    """How long an expired hold may still be confirmed (contract 16.1)."""

    expiry_grace_seconds: int = Field(ge=0)


class IntakeRules(Frozen):
    """Confidence gates and the duplicate window of blind intake (contract 5.4, 7.2)."""

    identity_confidence_threshold: int = Field(ge=0, le=100)
    classification_confidence_threshold: int = Field(ge=0, le=100)
    duplicate_window_minutes: int = Field(ge=0)
    sop_handoff_prompt: str = Field(pattern="SOP")


class RetentionRules(Frozen):
    """How long evidence is locked: days by class, and the class of a kind; else `standard`.

    A class only ever prolongs what the installation asks for.
    """

    classes: Mapping[str, Annotated[int, Field(ge=0)]]
    kinds: Mapping[str, str]

    @model_validator(mode="after")
    def _known(self) -> Self:
        if not {"standard", *self.kinds.values()} <= set(self.classes):
            raise ValueError("kinds name classes, and there is a class standard")
        return self

    def days(self, kind: str) -> int:
        """Return the days that evidence of a kind is locked at least."""
        return self.classes[self.kinds.get(kind.strip().upper(), "standard")]


class ImageRules(Frozen):
    """Which images are decoded at all, and how large their thumbnails are."""

    max_bytes: int = Field(ge=0)
    max_pixels: int = Field(ge=0)
    thumbnail_pixels: int = Field(ge=1)


class EvidenceRules(Frozen):
    """Which references count, whether they are looked up, what may be uploaded (7.10, 9.4, 9.5)."""

    schemes: tuple[str, ...]
    require_head: bool
    require_checksum: bool
    content_types: tuple[str, ...]
    max_bytes: int = Field(ge=1)
    content_sniffing: Literal["contradiction", "signature"]
    multipart_from_bytes: int = Field(ge=1)
    part_bytes: int = Field(ge=5 << 20)
    retention: RetentionRules
    images: ImageRules


class AssignmentRules(Frozen):
    """What a technician's hours and other visits do to a recommendation (contract 7.6)."""

    availability: Literal["report", "rank", "exclude"]
    overlaps: Literal["report", "rank", "exclude"]


class RiskRules(Frozen):
    """What makes a closeout too risky for automation (contract 9.7)."""

    incident_types: tuple[str, ...]
    evidence_keys: tuple[str, ...]


class Bundle(BaseModel):
    """Everything that judges a command. Immutable; `sha256` changes whenever a rule does."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    version: str
    phases: Mapping[str, tuple[State, ...]]
    role_aliases: Mapping[str, Role]
    sla: SlaRules
    escalation: EscalationRules
    holds: HoldRules
    intake: IntakeRules
    evidence: EvidenceRules
    assignment: AssignmentRules
    risk: RiskRules
    autonomy: AutonomyRules
    transitions: Mapping[str, tuple[State, ...]]
    tools: Mapping[str, ToolRule]
    templates: TemplateSet

    @model_validator(mode="after")
    def _complete(self) -> Self:
        grouped = [state for states in self.phases.values() for state in states]
        if sorted(grouped) != sorted(State):
            raise ValueError("phases must name every state exactly once")
        known = {NONE, *State}
        if not set(self.transitions) <= known or TERMINAL & set(self.transitions):
            raise ValueError("transitions start from NONE or from a state that is not terminal")
        routes = [(tool.method, tool.route) for tool in self.tools.values()]
        if len(set(routes)) != len(routes):
            raise ValueError("two tools share a route")
        if not {*self.autonomy.ladder, *self.autonomy.proposals} <= set(self.commands):
            raise ValueError("the autonomy ladder names commands only")
        types = {name for levels in self.autonomy.ladder.values() for name in levels}
        if any(name not in {ANY_TYPE, name.strip().upper()} for name in types):
            raise ValueError("the autonomy ladder names incident types in upper case")
        return self

    @cached_property
    def sha256(self) -> str:
        """Lower-case hex SHA-256 of the canonical JSON of the whole bundle."""
        return sha256_hex(self.model_dump(mode="json"))

    @cached_property
    def surface_hash(self) -> str:
        """Hash of the tool surface that clients see (contract 11)."""
        return sha256_hex([self._surface(name) for name in sorted(self.tools)])

    @cached_property
    def pairs(self) -> tuple[tuple[State | None, State], ...]:
        """The legal transitions in order; None stands for a ticket that does not exist yet."""
        return tuple(
            (None if source == NONE else State(source), target)
            for source, targets in self.transitions.items()
            for target in targets
        )

    @cached_property
    def phase_of(self) -> Mapping[State, str]:
        """The phase of each state."""
        return {state: phase for phase, states in self.phases.items() for state in states}

    def ways_on(self, state: State) -> Mapping[str, "ToolRule"]:
        """Return the tools that take a ticket on from a state, by name."""
        return {name: rule for name, rule in self.commands.items() if rule.leads_on(state)}

    @cached_property
    def commands(self) -> Mapping[str, ToolRule]:
        """The mutating tools by name."""
        return {name: rule for name, rule in self.tools.items() if rule.mutating}

    def role(self, text: str) -> Role | None:
        """Return the canonical role of `text`, or None when it is unknown (contract 4.5)."""
        word = text.strip().lower()
        if word in self.role_aliases:
            return self.role_aliases[word]
        return Role(word) if word in set(Role) else None

    def _surface(self, name: str) -> dict[str, Any]:
        rule = self.tools[name]
        return {
            "name": name,
            "method": rule.method,
            "route": rule.route,
            "mutating": rule.mutating,
            "roles": sorted(rule.roles),
            "from_states": None if rule.from_states is None else sorted(rule.from_states),
            "result_state": rule.result_state,
            "success_status": rule.success_status,
        }


def load_bundle(overrides: Mapping[str, Mapping[str, Any]] | None = None) -> Bundle:
    """Return the shipped bundle, with single rules replaced by an installation's settings.

    `overrides` is `{section: {rule: value}}`. Raises `BundleError` for anything unreadable and
    `InvalidTemplateSetError` for a bad template file: without a valid bundle nothing starts.
    """
    folder = files("policy.rules")
    document: dict[str, Any] = tomllib.loads((folder / "bundle.toml").read_text("utf-8"))
    for section, rules in (overrides or {}).items():
        document[section] = {**document.get(section, {}), **rules}
    document["templates"] = TemplateSet.read(folder / "templates.toml")
    try:
        return Bundle.model_validate(document)
    except ValidationError as error:
        raise BundleError(f"the policy bundle is invalid: {error}") from error
