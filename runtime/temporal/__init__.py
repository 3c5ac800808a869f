"""Temporal: client, payloads, codec and standing workflows."""
