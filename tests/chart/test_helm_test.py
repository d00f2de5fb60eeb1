"""What `helm test` runs, run here without nodes: both commands of its pod and its route, against a real dispatcher."""

import asyncio
import json
import pathlib
import sys

import pytest

from tests.chart.render import NAMESPACE, Document, one, rendered
from tests.harness.process import end, free_ports, spawn
from tests.support.dispatcher import Process

SERVICE = f"http://fanout.{NAMESPACE}.svc:80"


def sender(pod: Document, process: Process) -> list[str]:
    """The command of the pod's container, with the dispatcher on this machine."""
    (container,) = pod["spec"]["containers"]
    words: list[str] = [*container["command"], *container["args"]]
    here = [word.replace(SERVICE, process.listen) for word in words[1:]]
    return [str(pathlib.Path(sys.executable).with_name(words[0])), *here]


async def sent(command: list[str]) -> tuple[int, str]:
    """Run it; its status and what it said."""
    child = await asyncio.create_subprocess_exec(
        *command, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    said, _ = await child.communicate()
    assert child.returncode is not None
    return child.returncode, said.decode()


@pytest.mark.parametrize("target_up", [True, False], ids=["target", "no target"])
async def test_it_passes_when_the_event_is_delivered_and_fails_when_it_is_not(
    tmp_path: pathlib.Path, target_up: bool
) -> None:
    documents = rendered()
    pod, route = one(documents, "Pod", "fanout-test"), one(documents, "FanoutRoute", "fanout-test")
    (target,) = pod["spec"]["initContainers"]
    (port,) = free_ports(1)
    (tmp_path / "route.json").write_text(json.dumps(route))
    script = target["args"][0].replace('("0.0.0.0", 8080)', f'("127.0.0.1", {port})')
    resolve = f"--resolve={NAMESPACE}/fanout-test:http=http://127.0.0.1:{port}"
    process = Process(tmp_path, tmp_path / "route.json", resolve)
    receiver = spawn([sys.executable, "-c", script if target_up else ""], tmp_path / "target.log")
    try:
        await process.start()
        status, said = await sent([*sender(pod, process), *([] if target_up else ["--timeout=2"])])
    finally:
        process.stop()
        end(receiver)

    assert f'127.0.0.1", {port}' in script
    assert (status, "Delivered" in said) == ((0, True) if target_up else (1, False)), said
