"""`dispatch drill`: runbooks exercised against a running stack."""
