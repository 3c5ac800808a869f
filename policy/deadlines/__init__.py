"""What a ticket is heading for: SLA, steps, holds, and what was raised so far."""
