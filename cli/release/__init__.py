"""`dispatch release-check`: the gates before a release."""
