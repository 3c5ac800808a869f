"""The closeout gate: completion, verification, packet and risk."""
