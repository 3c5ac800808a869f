"""Settings, logging, and the connections to Postgres, Temporal and S3."""
