"""What operators ask: health, metrics, alerts and runbooks."""
