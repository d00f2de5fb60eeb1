"""A dispatcher process with real targets, each test with folders and ports of its own."""

import collections.abc
import json
import pathlib
import typing

import httpx
import pytest

from tests.support.dispatcher import Process
from tests.support.targets import Target


class Bench:
    """Makes targets, routes and dispatchers, and ends them all."""

    def __init__(self, folder: pathlib.Path) -> None:
        self.folder = folder
        self.manifests = folder / "manifests"
        self.manifests.mkdir()
        self.targets: list[Target] = []
        self.processes: list[Process] = []
        self.client = httpx.AsyncClient(trust_env=False)

    async def target(self, name: str) -> Target:
        """A target that answers 204 until it is told otherwise."""
        self.targets.append(await Target(name).open())
        return self.targets[-1]

    def route(self, *targets: Target | dict[str, typing.Any], name: str = "order-placed", **spec: typing.Any) -> None:
        """Write (or replace) a route's manifest."""
        wanted = [one if isinstance(one, dict) else {"name": one.name, "url": one.url} for one in targets]
        document = {
            "apiVersion": "fanout.dev/v1alpha1",
            "kind": "FanoutRoute",
            "metadata": {"name": name, "namespace": "shop"},
            "spec": {"targets": wanted} | spec,
        }
        fresh = self.manifests / f".{name}.tmp"
        fresh.write_text(json.dumps(document))
        fresh.replace(self.manifests / f"{name}.json")

    def dispatcher(self, *flags: str) -> Process:
        """A dispatcher on the manifests, not started yet."""
        self.processes.append(Process(self.folder, self.manifests, *flags))
        return self.processes[-1]

    async def started(self, *flags: str) -> Process:
        """A dispatcher that is ready."""
        process = self.dispatcher(*flags)
        await process.start()
        return process

    async def close(self) -> None:
        """End everything."""
        await self.client.aclose()
        for process in self.processes:
            if process.child is not None and process.child.poll() is None:
                process.kill()
        for target in self.targets:
            await target.close()


@pytest.fixture
async def bench(tmp_path: pathlib.Path) -> collections.abc.AsyncIterator[Bench]:
    """A place to try a dispatcher in."""
    made = Bench(tmp_path)
    yield made
    await made.close()
