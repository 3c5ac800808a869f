"""The ticket's workflow and what operators see of it."""
