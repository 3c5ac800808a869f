"""The rules as data: the bundle, validated, frozen and hashed."""
