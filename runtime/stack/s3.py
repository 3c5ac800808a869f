"""The S3 server (SeaweedFS in one process) and its evidence bucket."""

import asyncio
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from runtime.stack.files import private_folder, write_private
from runtime.stack.inner_tls import InnerTls, write_inner_tls
from runtime.stack.part import Part
from runtime.stack.ports import LOOPBACK, PortChooser
from runtime.stack.servers import script
from runtime.stack.state import StackSecrets
from runtime.stack.store_policies import policies

if TYPE_CHECKING:  # the stubs are a development dependency
    from types_boto3_s3 import S3Client

REGION = "us-east-1"
# Left alone, each gRPC listener takes the port 10,000 above its twin, free or not.
_INNER_PORTS = (
    "s3.port.grpc",
    "master.port",
    "master.port.grpc",
    "volume.port",
    "volume.port.grpc",
    "filer.port",
    "filer.port.grpc",
    "admin.port",
    "admin.port.grpc",
)
_GRPC = ("volume", "master", "filer", "s3", "admin", "worker", "client")
_HTTPS = ("volume", "master", "filer", "admin")
_SOCKET = "/tmp/seaweedfs-{listener}-{port}.sock"  # noqa: S108  the server's own choice


class S3Server:
    """Describes the embedded S3 server of one data folder."""

    def __init__(
        self, data_dir: Path, log_path: Path, secrets: StackSecrets, bucket: str, port: int
    ) -> None:
        self.endpoint_url = f"http://{LOOPBACK}:{port}"
        self._folder = data_dir / "s3"
        self._log_path = log_path
        self._secrets = secrets
        self._bucket = bucket
        self._port = port

    def part(self, ports: PortChooser) -> Part:
        """Return the server as a part; its inner listeners get free ports.

        Each of these would let anyone list, write and delete; they ask for the certificate that
        only the server's own parts have. The S3 port checks signatures.
        """
        private_folder(self._folder)
        identities = self._write_identities()
        security = private_folder(self._folder.with_name("s3-security"))
        write_private(security / "security.toml", _security(write_inner_tls(security)))
        inner = {
            name: ports.choose([self._port + offset])
            for offset, name in enumerate(_INNER_PORTS, start=1)
        }
        options = {
            "dir": str(self._folder), "ip": LOOPBACK, "ip.bind": LOOPBACK,
            "s3.port": self._port, **inner,
            "s3.port.lance": 0, "s3.port.iceberg": 0, "webdav": "false", "admin.ui": "false",
            "master.telemetry": "false", "volume.preStopSeconds": 0,
            "s3.autoCreateBucket": "false", "s3.config": str(identities),
        }  # fmt: skip
        return Part(
            name="s3",
            command=(
                script("weed"),
                "-logtostderr=true",  # else it writes log files into /tmp
                f"-config_dir={security}",
                "mini",
                *(f"-{option}={value}" for option, value in options.items()),
            ),
            log_path=self._log_path,
            ready=self._bucket_is_there,
            url=self.endpoint_url,
            stop_timeout_seconds=4.0,  # its filer sometimes waits 10 s for idle connections
            leftovers=tuple(_sockets({"s3.port": self._port, **inner})),
        )

    def _write_identities(self) -> Path:
        """Write who may do what: gateway and worker by policy, the stack itself anything."""
        path = self._folder.with_name("s3-identities.json")
        known, documents = self._secrets, policies(self._bucket)
        own = {
            **_identity("dispatch", known.s3_access_key_id, known.s3_secret_access_key),
            "actions": ["Admin", "Read", "Write", "List", "Tagging"],
        }
        others = [
            {
                **_identity(duty, login.access_key_id, login.secret_access_key),
                "policyNames": [duty],
            }
            for duty, login in known.store_logins.items()
        ]
        named = [
            {"name": duty, "content": json.dumps(documents[duty])} for duty in known.store_logins
        ]
        write_private(path, json.dumps({"identities": [own, *others], "policies": named}))
        return path

    async def _bucket_is_there(self) -> bool:
        return await asyncio.to_thread(self._ensure_bucket)

    def _ensure_bucket(self) -> bool:
        with self._client() as client:
            try:
                client.create_bucket(Bucket=self._bucket, ObjectLockEnabledForBucket=True)
            except client.exceptions.BucketAlreadyOwnedByYou:
                pass
            except (BotoCoreError, ClientError):
                return False
        return True

    @contextmanager
    def _client(self) -> "Iterator[S3Client]":
        client = boto3.client(
            "s3",
            endpoint_url=self.endpoint_url,
            region_name=REGION,
            aws_access_key_id=self._secrets.s3_access_key_id,
            aws_secret_access_key=self._secrets.s3_secret_access_key,
            config=Config(
                connect_timeout=1,
                read_timeout=5,
                retries={"total_max_attempts": 1},
                s3={"addressing_style": "path"},
            ),
        )
        try:
            yield client
        finally:
            client.close()


def _security(tls: InnerTls) -> str:
    """Return the server's own file that makes its parts prove themselves to each other."""
    pair = f'cert = "{tls.certificate}"\nkey = "{tls.key}"\n'
    authority = f'ca = "{tls.authority}"\n'
    sections = [f"[grpc]\n{authority}", f"[https.client]\nenabled = true\n{pair}{authority}"]
    sections += [f"[grpc.{part}]\n{pair}" for part in _GRPC]
    sections += [f"[https.{part}]\n{pair}{authority}" for part in _HTTPS]
    return "\n".join(sections)


def _sockets(ports: Mapping[str, int]) -> Iterator[Path]:
    for option, port in ports.items():
        listener, _, kind = option.partition(".port")
        yield Path(_SOCKET.format(listener=listener + kind.replace(".", "-"), port=port))


def _identity(name: str, access_key: str, secret_key: str) -> dict[str, Any]:
    return {"name": name, "credentials": [{"accessKey": access_key, "secretKey": secret_key}]}
