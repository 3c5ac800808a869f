"""Names of fields whose values never stand in the audit log (contract 13.3)."""

SENSITIVE = ("phone", "email", "access_code", "password", "token", "secret", "ssn", "dob")
"""A field is sensitive if its name, in lower case, contains one of these."""
MOST_SENSITIVE = 1000
"""How many names of a body may be sensitive: each of them leaves a hash for ever."""
