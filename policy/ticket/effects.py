"""What an allowed command on a ticket changes."""

from datetime import datetime
from typing import Self
from uuid import UUID

from policy.command.effects import Effects
from policy.model import State, Ticket


class TicketEffects(Effects):
    """The effects of a ticket's command.

    `ticket` is the row after the command, `before` its state before, `pairs` the legal transitions
    it makes. `look_at` is an instant at which the ticket must be looked at whatever its deadlines
    are. A tool without a ticket may name, as `audit_ticket_id`, the one whose chain gets its audit
    row; without that it is the tenant's own chain.
    """

    ticket: Ticket | None = None
    before: State | None = None
    pairs: tuple[tuple[State | None, State], ...] = ()
    look_at: datetime | None = None
    audit_ticket_id: UUID | None = None

    @classmethod
    def of(cls, effects: Effects) -> Self:
        """Return effects as a ticket's; those of a tool without one may come without."""
        return effects if isinstance(effects, cls) else cls(**dict(effects))
