"""The audit log: appended, anchored, verified."""
