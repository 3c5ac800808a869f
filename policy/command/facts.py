"""What every decision may look at, whatever it is about: the clock and new ids."""

from datetime import datetime
from uuid import UUID

from policy.model import Frozen


class Facts(Frozen):
    """Base of the facts of each kind of subject, which adds its own rows.

    `now` is the instant of the transaction, cut to milliseconds; `audit_id` and `new_ids` are
    random ids for the rows that the decision may create.
    """

    now: datetime
    audit_id: UUID
    new_ids: tuple[UUID, UUID]
