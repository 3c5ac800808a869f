"""What reads show and offer: cockpit, packet, actions, guide and schemas."""
