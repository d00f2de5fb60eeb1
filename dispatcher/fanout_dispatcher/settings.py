"""What a dispatcher is told at start: one frozen value, complete and checked, from which `server.serve` builds it.

The CLI makes it from flags and environment; tests make it by hand. It holds no objects, only what was asked for, and it
refuses in words what could not work or would not be safe.
"""

import dataclasses
import pathlib
import typing

from fanout_crds.faults import Faults
from fanout_crds.references import ServiceKey
from fanout_crds.route import CLASS_NAME
from fanout_crds.texts import ClassName
from fanout_dispatcher.values.address import Address, Network

GIB: typing.Final = 1 << 30
LEAST_JOURNAL: typing.Final = 4 << 20  # bytes; with less, tables and indexes leave hardly any room for events
MOST_WORKERS: typing.Final = 64
DATA_PORT: typing.Final = Address("127.0.0.1", 8080)
ADMIN_PORT: typing.Final = Address("127.0.0.1", 8081)


class Unstartable(Exception):
    """The dispatcher cannot start as it was told; the sentence says what to change."""


@dataclasses.dataclass(frozen=True, slots=True)
class TlsFiles:
    """A certificate chain and its key, PEM files; read again when they change."""

    certificate: pathlib.Path
    key: pathlib.Path


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Settings:
    """Everything a dispatcher is told. Raises Unstartable for what cannot work or would not be safe."""

    data: pathlib.Path
    """Folder of the journal and the state file; made when missing. Required."""

    plans: typing.Literal["folder", "kubernetes"] = "folder"
    """Where plans come from: manifests in *paths*, or an operator's ConfigMaps."""

    paths: tuple[pathlib.Path, ...] = ()
    """Manifest files and folders; at least one with plans "folder", none with "kubernetes"."""

    listen: Address = DATA_PORT
    """The data port, where events come in."""

    admin: Address = ADMIN_PORT
    """Health, metrics and the admin API. Beyond loopback it needs *admin_token*."""

    admin_token: str | None = dataclasses.field(default=None, repr=False)
    """Bearer token of the admin API; unset: none is asked for, on loopback only."""

    report: Address | None = None
    """The report stream for operators; unset: none. Beyond loopback its readers are checked by TokenReview."""

    report_readers: tuple[str, ...] = ("fanout-operator",)
    """ServiceAccounts that may read it where readers are checked: ``name`` in *namespace*, or ``namespace/name``."""

    report_tls: TlsFiles | None = None
    """TLS of the report stream; unset: plain HTTP."""

    journal_bytes: int = 10 * GIB
    """Bytes the journal may hold, 4 MiB at least; past it producers get 503 before anything is accepted."""

    workers: int = 1
    """Processes that accept and deliver, each with its own journal; 1: all in one process, without a supervisor (unless
    an earlier start left journals of more workers behind: see `workers.leftovers`)."""

    allow_loopback: bool = False
    """Let targets be on this machine: for laptops and tests."""

    allow_cidrs: tuple[Network, ...] = ()
    """Private ranges that `url:` targets may reach."""

    resolve: typing.Mapping[ServiceKey, str] = dataclasses.field(default_factory=dict)
    """Base URLs of Services for manifests from files; a Service that is missing here holds its targets."""

    namespace: str | None = None
    """Where plans are (plans "kubernetes"); unset: the pod's own, or the kubeconfig's."""

    kubeconfig: pathlib.Path | None = None
    """How to reach the API server; unset: as the pod that this is."""

    class_name: str = CLASS_NAME
    """Which installation's routes are served."""

    log_level: str = "info"
    """debug, info, warning or error."""

    log_format: typing.Literal["auto", "json", "text"] = "auto"
    """auto: text on a terminal, JSON lines elsewhere."""

    def __post_init__(self) -> None:
        if self.plans == "folder" and not self.paths:
            raise Unstartable("no manifests: name a file or folder, or say --plans kubernetes")
        if self.plans == "kubernetes" and self.paths:
            raise Unstartable("--plans kubernetes reads plans from the API server: leave the paths away")
        if not self.admin.loopback and not self.admin_token:
            raise Unstartable(
                f"the admin port {self.admin} can be reached from outside: set FANOUT_ADMIN_TOKEN or --admin-token-file"
            )
        if self.report and not self.report.loopback and self.plans != "kubernetes":
            raise Unstartable(f"the report stream {self.report} can be reached from outside: that needs a cluster")
        if not 1 <= self.workers <= MOST_WORKERS:
            raise Unstartable(f"a dispatcher has 1 to {MOST_WORKERS} workers, not {self.workers}")
        if self.journal_bytes < LEAST_JOURNAL * self.workers:
            least = f"{LEAST_JOURNAL * self.workers >> 20}Mi"
            each = f" for {self.workers} workers" if self.workers > 1 else ""
            raise Unstartable(f"--journal-size has to be {least} at least{each}, not {self.journal_bytes} bytes")
        faults = Faults()
        ClassName.read(self.class_name, "the class name", faults)
        if faults:
            raise Unstartable(str(faults.found()[0]))

    @property
    def report_checked(self) -> bool:
        """Whether readers of the report stream must show a token (all but plain HTTP on loopback)."""
        if self.report is None:
            return False
        return not self.report.loopback or (self.report_tls is not None and self.plans == "kubernetes")
