"""Every handler: from a request to the room that answers it."""
