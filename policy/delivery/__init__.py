"""Messages to deliver: their rows and what follows a failure."""
