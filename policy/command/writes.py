"""The base of every row that a decision writes."""

from policy.model import Frozen


class Write(Frozen):
    """One more row to write, in the transaction of the decision."""
