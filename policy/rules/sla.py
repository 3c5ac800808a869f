"""Service contracts: which targets run under which calendar, and what pauses them."""

from collections.abc import Mapping
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from policy.model import TERMINAL, Frozen, Priority, State

STANDARD = "standard"
Minutes = Annotated[int, Field(ge=1)]


class SlaContract(Frozen):
    """Targets by priority in minutes, and what makes their clock stand, with the reason shown."""

    calendar: Literal["always", "site"]
    response: Mapping[Priority, Minutes] | None = None
    arrival: Mapping[Priority, Minutes] | None = None
    resolution: Mapping[Priority, Minutes]
    pauses: Mapping[State, str] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _complete(self) -> Self:
        for targets in (self.response, self.arrival, self.resolution):
            if targets is not None and set(targets) != set(Priority):
                raise ValueError("a contract's targets name every priority")
        if TERMINAL & set(self.pauses):
            raise ValueError("a terminal state pauses nothing")
        return self


class SlaRules(Frozen):
    """The contracts by name, and the warning margin in minutes (contract 5.3).

    `kept_from_creation` are the priorities of which no window puts off what was promised.
    """

    warning_minutes: int
    kept_from_creation: tuple[Priority, ...] = ()
    contracts: Mapping[str, SlaContract]

    @model_validator(mode="after")
    def _keeps_the_standard(self) -> Self:
        standard = self.contracts.get(STANDARD)
        if standard is None or standard.calendar != "always" or standard.pauses:
            raise ValueError("the standard contract always runs and is never paused")
        return self

    @property
    def target_minutes(self) -> Mapping[Priority, int]:
        """What the standard contract allows until a ticket is resolved."""
        return self.contracts[STANDARD].resolution
