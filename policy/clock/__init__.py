"""The SLA clock: calendars, pauses, and the ledger of every minute between two instants."""
