"""What the installer decides, as the command line said it."""

from pathlib import Path

import msgspec

from fanout_operator.lease import Place, Terms


class Unstartable(Exception):
    """This operator cannot start; a sentence that says why."""


class Options(msgspec.Struct, frozen=True, kw_only=True):
    """One operator's settings."""

    namespace: str  # the dispatcher's: plans are written here
    class_name: str = "fanout"
    kubeconfig: Path | None = None
    dispatchers: tuple[str, ...] = ()  # base URLs of report ports, outside a cluster
    report_service: str = "fanout-report"  # in a cluster: the headless Service of report ports
    report_ca: Path | None = None
    report_token: Path | None = None
    namespaces: tuple[str, ...] = ()  # empty = all
    health: tuple[str, int] | None = None
    public_url: str | None = None
    any_path: bool = False
    election: Place | None = None  # None: this is the only operator of its class
    terms: Terms = Terms()

    @property
    def installation(self) -> str:
        """What this installation is called in the cluster: by its dispatchers, whatever operator looks after them."""
        return f"{self.namespace}/{self.report_service}"
