"""The outbox relay: carries committed messages to providers and subscribers, at least once."""
