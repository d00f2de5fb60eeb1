"""A dispatcher as a process that takes its plans from a namespace, as the chart's own account."""

import json
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import httpx

from fanout_crds.report import PATH
from tests.controlplane.installed import Installation
from tests.controlplane.waiting import Document
from tests.harness.process import end, free_ports, spawn, tail

BIN = Path(sys.executable).parent


class Dispatcher:
    """One dispatcher process, and where its ports are."""

    def __init__(self, fanout: Installation, data: Path, *flags: str, by: Sequence[str] = ()) -> None:
        """`by`: a command that runs the program, where it is not to be run as it is."""
        self.port, self.admin, self.report = free_ports(3)
        kubeconfig = fanout.server.kubeconfig_for(fanout.namespace, "fanout-dispatcher")
        self.log = data / "dispatcher.log"
        self.by = by
        self._command = [
            str(BIN / "fanout"), "run", "--plans=kubernetes", f"--class-name={fanout.class_name}",
            f"--namespace={fanout.namespace}", f"--kubeconfig={kubeconfig}", f"--data={data}", "--allow-loopback",
            f"--listen=127.0.0.1:{self.port}", f"--admin=127.0.0.1:{self.admin}", f"--report=127.0.0.1:{self.report}",
            *flags,
        ]  # fmt: skip

    @contextmanager
    def running(self) -> Iterator[None]:
        """Run it until the block ends."""
        process = spawn([*self.by, *self._command], self.log, {**os.environ, "KUBECONFIG": os.devnull})
        try:
            yield
            assert process.poll() is None, f"the dispatcher ended:\n{tail(self.log)}"
        finally:
            end(process, patience=10)

    def runs(self, plan: Document) -> None:
        """Wait until it says that it runs this very plan."""
        timeout = httpx.Timeout(20)
        with httpx.stream("GET", f"http://127.0.0.1:{self.report}{PATH}", timeout=timeout, trust_env=False) as told:
            next(line for line in told.iter_lines() if json.loads(line).get("revision") == plan["revision"])

    def abandon_sagas(self) -> None:
        """Give up whatever is stuck."""
        url = f"http://127.0.0.1:{self.admin}/v1/sagas/abandon"
        httpx.post(url, json={"all": True}, trust_env=False).raise_for_status()

    def letters(self, route: str) -> list[Document]:
        """A route's dead letters, as its admin port lists them."""
        address = f"http://127.0.0.1:{self.admin}/v1/dead-letters"
        answer = httpx.get(address, params={"route": route}, trust_env=False).raise_for_status()
        found: list[Document] = answer.json()["items"]
        return found

    def post(self, path: str) -> httpx.Response:
        """Post an event."""
        return httpx.post(f"http://127.0.0.1:{self.port}{path}", json={"n": 1}, trust_env=False)
