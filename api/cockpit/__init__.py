"""The cockpit: the queue of all open tickets, page by page."""
