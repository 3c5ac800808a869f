"""The shape A of who acts (contract 1.2)."""

from typing import Any

from policy.model import Actor


def actor_shape(actor: Actor, tool_name: str) -> dict[str, Any]:
    """Return A."""
    return {
        "actor_id": actor.actor_id,
        "actor_role": actor.actor_role.value,
        "actor_type": actor.actor_type.value,
        "tool_name": tool_name,
    }
