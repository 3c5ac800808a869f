"""Evidence: references, uploads, content, and how it is shown."""
