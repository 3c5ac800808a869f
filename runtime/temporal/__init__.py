"""Temporal: client, payloads, codec and schedules."""
