"""Postgres: pools, migrations and the first start of an installation."""
