"""The embedded S3 server, one for the session, with a versioned bucket that can lock objects."""

import asyncio
import subprocess
import time
from collections.abc import Iterator

import pytest

from runtime.settings import Settings
from runtime.stack.part import Part
from runtime.stack.ports import PortChooser
from runtime.stack.s3 import S3Server
from runtime.stack.state import StackSecrets

BUCKET = "evidence"
START_SECONDS = 30


@pytest.fixture(scope="session")
def s3_settings(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Settings]:
    """Run the server and return the settings that reach it."""
    folder, secrets, ports = tmp_path_factory.mktemp("s3"), StackSecrets(), PortChooser()
    server = S3Server(folder, folder / "s3.log", secrets, BUCKET, ports.choose())
    part = server.part(ports)
    with part.log_path.open("wb") as log:
        process = subprocess.Popen(part.command, stdout=log, stderr=log)  # noqa: S603  our own
    try:
        deadline = time.monotonic() + START_SECONDS
        while not asyncio.run(_is_ready(part)):
            assert process.poll() is None, part.log_path.read_text()
            assert time.monotonic() < deadline, part.log_path.read_text()
        yield Settings.model_validate(
            {
                "s3_endpoint_url": server.endpoint_url,
                "s3_bucket": BUCKET,
                "s3_access_key_id": secrets.s3_access_key_id,
                "s3_secret_access_key": secrets.s3_secret_access_key,
                "evidence_retention_mode": "GOVERNANCE",
                "evidence_retention_days": 1,
                "evidence_head_timeout_ms": 5000,
            }
        )
    finally:
        process.terminate()
        process.wait(START_SECONDS)
        for path in part.leftovers:
            path.unlink(missing_ok=True)


async def _is_ready(part: Part) -> bool:
    return await part.ready()
