"""What is kept, and how it is proven: evidence, audit, dossiers."""
