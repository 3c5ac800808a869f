"""Assignment automation: a client of the gateway that sends a technician where none is assigned."""
