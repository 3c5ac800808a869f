"""Marks of sealed payloads, which workflows recognise without a key."""

SEALED_ENCODING = b"binary/encrypted"
"""Marks a payload that only an installation with the right key can open."""
UNREADABLE_ENCODING = b"binary/unreadable"
"""Marks what is left of a sealed payload that was tampered with."""
