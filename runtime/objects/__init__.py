"""The object store's client: S3, checksums, the vault of checkpoints."""
