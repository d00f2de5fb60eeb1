"""kubectl against the demo's own API server, with each command and its answer on the screen."""

import asyncio
import shlex
import typing

from demo.errors import Unproven
from demo.show import Show
from tests.harness.apiserver import ApiServer, KubectlError

POLL: typing.Final = 0.1  # seconds


class Kube:
    """One API server, as its admin."""

    def __init__(self, server: ApiServer, show: Show) -> None:
        self._server = server
        self._show = show

    async def shown(self, *args: str) -> str:
        """Run kubectl and show command and answer."""
        said = await self.quietly(*args)
        self._show.output(f"kubectl {shlex.join(args)}", said)
        return said

    async def apply(self, name: str, document: str) -> str:
        """Apply a manifest, as a file of this name."""
        return await self.shown("apply", "-f", self._written(name, document))

    async def refused(self, name: str, document: str) -> str:
        """Apply a manifest that must be refused; shows and gives the words."""
        command = ("apply", "-f", self._written(name, document))
        try:
            said = await self.quietly(*command)
        except KubectlError as no:
            self._show.output(f"kubectl {shlex.join(command)}", no.stderr)
            return no.stderr
        raise Unproven(f"{name} should have been refused: {said}")

    async def quietly(self, *args: str) -> str:
        """Run kubectl and give what it wrote."""
        return await asyncio.to_thread(self._server.kubectl, *args)

    def _written(self, name: str, document: str) -> str:
        path = self._server.home / name
        path.write_text(document)
        return str(path)

    async def until(self, wanted: str, *args: str, patience: float = 20.0) -> None:
        """Ask again until kubectl says *wanted*."""
        said = ""
        try:
            async with asyncio.timeout(patience):
                while said != wanted:
                    said = (await self.quietly(*args)).strip()
                    await asyncio.sleep(POLL)
        except TimeoutError:
            raise Unproven(f"kubectl {shlex.join(args)} should say {wanted!r} and says {said!r}") from None

    async def condition(self, route: str, type_: str) -> str:
        """Give status, reason and message of one condition of a route."""
        namespace, name = route.split("/")
        path = "{.status.conditions[?(@.type=='" + type_ + "')]"
        fields = "".join(f"{path}.{field}}} " for field in ("status", "reason", "message"))
        return (await self.quietly("get", "fr", name, "-n", namespace, "-o", f"jsonpath={fields}")).strip()
