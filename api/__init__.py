"""The gateway: identity, wire format and the routes of the tools."""
