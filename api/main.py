"""`dispatch-api`: serves the gateway on loopback until it is told to stop."""

import os
import sys

import uvicorn

from api.app import create_app
from api.wire.connections import LimitedHttp
from records.audit.signing_keys import DOSSIERS, VARIABLE, signing_keys
from runtime.environment import ConfigurationError
from runtime.garbage import spare_long_lived
from runtime.settings import Settings, load_settings
from runtime.telemetry.logging import configure_logging


def excess_keys(settings: Settings) -> list[str]:
    """Return what a gateway should not hold: a key that signs states of the audit log."""
    keys = signing_keys(settings)
    if keys is None or keys.signing_id is None:
        return []
    return [f"{VARIABLE} holds a private key, which only workers need: give {DOSSIERS} instead"]


def main() -> None:
    """Start the gateway from the environment; exit code 1 when it must not start."""
    try:
        settings, warnings = load_settings(os.environ)
        log = configure_logging("dispatch-api", sink=settings.log_sink_path)
        for warning in (*warnings, *excess_keys(settings)):
            log.warning("api.setting", message=warning)
        app = create_app(settings)
    except (ConfigurationError, ValueError) as error:
        sys.exit(f"dispatch-api: {error}")
    spare_long_lived()
    uvicorn.run(
        app,
        host=settings.api_host,
        port=settings.api_port,
        http=LimitedHttp,
        ws="none",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,  # nothing depends on the client's address
        date_header=True,
        timeout_graceful_shutdown=10,
    )
