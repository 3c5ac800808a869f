"""The layout of one stack: which parts run here, on which ports, with which environment."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from runtime.environment import read_flag
from runtime.stack import applications
from runtime.stack.part import Part, Report
from runtime.stack.ports import LOOPBACK, PortChooser, Ports
from runtime.stack.postgres import PostgresServer
from runtime.stack.s3 import REGION, S3Server
from runtime.stack.state import StackSecrets
from runtime.stack.store_policies import GATEWAY, WORKER
from runtime.stack.temporal import temporal_part
from runtime.temporal.ui import tickets_page

_DEFAULT_BUCKET = "dispatch-evidence"
_DEFAULT_NAMESPACE = "default"
_DEFAULT_TASK_QUEUE = "dispatch-tickets"
_AUTH_KEYS = (
    "DISPATCH_AUTH_JWT_SECRET",
    "DISPATCH_AUTH_JWKS_URL",
    "DISPATCH_AUTH_JWKS_FILE",
)
_OF_RECORDS = (
    *("DISPATCH_SIGNING_KEYS", "DISPATCH_DOSSIER_KEYS"),
    *("DISPATCH_S3_ACCESS_KEY_ID", "DISPATCH_S3_SECRET_ACCESS_KEY"),
)
"""What signs and keeps the record; who only carries messages or calls the gateway lacks it."""
CALLERS_OWN = "DISPATCH_TOKEN"  # identifies who calls; no part of the stack needs it


class PartName(StrEnum):
    """The parts, in start order."""

    POSTGRES = "postgres"
    TEMPORAL = "temporal"
    S3 = "s3"
    WORKER = "worker"
    API = "api"


SERVERS = frozenset({PartName.POSTGRES, PartName.TEMPORAL, PartName.S3})
ALL_PARTS = frozenset(PartName)
# A server named in the environment is external: that part is not started.
EXTERNAL = {
    PartName.POSTGRES: "DISPATCH_DATABASE_URL",
    PartName.TEMPORAL: "DISPATCH_TEMPORAL_ADDRESS",
    PartName.S3: "DISPATCH_S3_ENDPOINT_URL",
}


@dataclass(frozen=True)
class Layout:
    """What starts (in two steps, servers first), and what everyone needs to know about it."""

    env: Mapping[str, str]
    urls: Mapping[str, str]
    external: Mapping[PartName, str]
    servers: tuple[Part, ...]
    applications: tuple[Part, ...]
    postgres: PostgresServer | None


class LayoutBuilder:
    """Chooses ports and collects parts, environment and addresses."""

    def __init__(
        self,
        data_dir: Path,
        secrets: StackSecrets,
        environ: Mapping[str, str],
        chooser: PortChooser,
        report: Report,
    ) -> None:
        self._data_dir = data_dir
        self._secrets = secrets
        self._environ = environ
        self._report = report
        self._chooser = chooser
        self._env = {
            name: text
            for name, text in environ.items()
            if name.startswith("DISPATCH_") and name != CALLERS_OWN and text.strip()
        }
        self._urls: dict[str, str] = {}
        self._postgres: PostgresServer | None = None
        self._has_store = False

    def build(self, parts: Collection[PartName], ports: Ports) -> Layout:
        """Return the layout; parts that the environment names as external are left out."""
        external = {
            part: self._env[name]
            for part, name in EXTERNAL.items()
            if part in parts and name in self._env
        }
        wanted = set(parts) - set(external)
        self._add_defaults()
        servers = tuple(
            build(ports)
            for name, build in (
                (PartName.POSTGRES, self._postgres_part),
                (PartName.TEMPORAL, self._temporal_part),
                (PartName.S3, self._s3_part),
            )
            if name in wanted
        )
        own = self._applications(wanted, ports)
        return Layout(
            env=self._env,
            urls=self._urls,
            external=external,
            servers=servers,
            applications=own,
            postgres=self._postgres,
        )

    def _add_defaults(self) -> None:
        self._env.setdefault("DISPATCH_TEMPORAL_NAMESPACE", _DEFAULT_NAMESPACE)
        self._env.setdefault("DISPATCH_TEMPORAL_TASK_QUEUE", _DEFAULT_TASK_QUEUE)
        self._env.setdefault("DISPATCH_SIGNING_KEYS", self._secrets.signing_key)
        self._env.setdefault("DISPATCH_DOSSIER_KEYS", self._secrets.dossier_key)
        if not self._environ.get("NODE_ENV"):
            self._env.setdefault("DISPATCH_ENV", "development")
        if self._env.keys().isdisjoint(_AUTH_KEYS):
            self._env["DISPATCH_AUTH_JWT_SECRET"] = self._secrets.jwt_secret

    def _postgres_part(self, ports: Ports) -> Part:
        port = self._choose("postgres", ports.postgres)
        self._postgres = PostgresServer(self._data_dir, self._log("postgres"), self._secrets, port)
        self._env["DISPATCH_DATABASE_URL"] = self._postgres.app_url
        return self._postgres.part()

    def _temporal_part(self, ports: Ports) -> Part:
        port = self._choose("temporal", ports.temporal)
        ui_port = None if ports.ui is None else self._choose("ui", ports.ui)
        self._env["DISPATCH_TEMPORAL_ADDRESS"] = f"{LOOPBACK}:{port}"
        if ui_port is not None:
            origin = f"http://{LOOPBACK}:{ui_port}"
            namespace = self._env["DISPATCH_TEMPORAL_NAMESPACE"]
            self._urls["Temporal UI"] = tickets_page(origin, namespace)
            self._env.setdefault("DISPATCH_TEMPORAL_UI_ORIGIN", origin)
        return temporal_part(
            self._data_dir / "temporal",
            self._log("temporal"),
            port=port,
            ui_port=ui_port,
            namespace=self._env["DISPATCH_TEMPORAL_NAMESPACE"],
        )

    def _s3_part(self, ports: Ports) -> Part:
        bucket = self._env.setdefault("DISPATCH_S3_BUCKET", _DEFAULT_BUCKET)
        port = self._choose("s3", ports.s3)
        self._has_store = True
        server = S3Server(self._data_dir, self._log("s3"), self._secrets, bucket, port)
        self._env |= {
            "DISPATCH_S3_ENDPOINT_URL": server.endpoint_url,
            "DISPATCH_S3_REGION": REGION,
            "DISPATCH_S3_ACCESS_KEY_ID": self._secrets.s3_access_key_id,
            "DISPATCH_S3_SECRET_ACCESS_KEY": self._secrets.s3_secret_access_key,
        }
        return server.part(self._chooser)

    def _applications(self, wanted: Collection[PartName], ports: Ports) -> tuple[Part, ...]:
        own: list[Part] = []
        if PartName.API in wanted:
            port = self._choose("api", ports.api)
            url = f"http://{LOOPBACK}:{port}"
            self._env |= {
                "DISPATCH_API_HOST": LOOPBACK,
                "DISPATCH_API_PORT": str(port),
                "DISPATCH_API_URL": url,
            }
            self._urls |= {"API": url, "API docs": f"{url}/docs"}
        if PartName.WORKER in wanted:
            env = self._env | self._store_login(WORKER)
            own.append(applications.worker_part(self._log("worker"), env))
        if PartName.API in wanted:
            own.append(applications.api_part(self._log("api"), self._gateways()))
        if PartName.WORKER in wanted and self._is_on("DISPATCH_SMS_ENABLED"):
            env = self._duty(*_OF_RECORDS)
            own.append(applications.relay_part(self._log("relay"), env))
        if PartName.API in wanted and self._is_on("DISPATCH_WORKER_ENABLED"):
            env = self._duty(*_OF_RECORDS, "DISPATCH_DATABASE_URL")
            own.append(applications.automation_part(self._log("automation"), env))
        return tuple(own)

    def _gateways(self) -> Mapping[str, str]:
        """Return the environment of the gateway: its own logins, and no key of the audit log."""
        env = self._duty("DISPATCH_SIGNING_KEYS") | self._store_login(GATEWAY)
        if self._postgres is not None:
            env["DISPATCH_DATABASE_URL"] = self._postgres.gateway_url
        return env

    def _duty(self, *without: str) -> dict[str, str]:
        """Return the environment of a process that needs no such variable."""
        return {name: text for name, text in self._env.items() if name not in without}

    def _store_login(self, duty: str) -> dict[str, str]:
        """Return a process's credentials at the embedded store; elsewhere there are those given."""
        return self._secrets.store_logins[duty].env if self._has_store else {}

    def _is_on(self, variable: str) -> bool:
        try:
            return read_flag(self._env.get(variable, "false"))
        except ValueError:  # the process itself warns of it
            return False

    def _choose(self, name: str, preferred: int) -> int:
        port = self._chooser.choose([preferred])
        if preferred not in (0, port):
            self._report(f"port {preferred} is taken: {name} uses {port}")
        return port

    def _log(self, name: str) -> Path:
        return self._data_dir / "logs" / f"{name}.log"
