"""The read tools: what they ask of Postgres and what they show."""
