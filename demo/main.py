"""`make demo`: the main job on this machine, in about twenty seconds, with nothing left behind.

A real `fanout run` on a copy of examples/01-fan-out, with its journal in a temporary folder, three real targets, events
by plain HTTP. Ends with status 0 when every proof held, with 1 and a sentence when one did not.
"""

import os
import typing
from pathlib import Path

from demo import acts
from demo.curtain import play
from demo.errors import prove
from demo.ledger import Ledger
from demo.ports import manifests, placed
from demo.process import Program
from demo.show import Show
from demo.stage import opened
from tests.harness.process import free_ports
from tests.harness.workdir import workdir

ROOT: typing.Final = Path(__file__).parents[1]


async def demo(show: Show, ledger: Ledger) -> None:
    """Play the three acts."""
    os.chdir(ROOT)
    with workdir("fanout-demo") as home, placed() as targets:
        dispatcher, door, admin = program(home, manifests(home, targets))
        show.say(f"the example is copied to {home}, with free ports for its targets: what else runs here is left alone")
        async with opened(show, ledger, targets=targets, programs=(dispatcher,), door=door, admin=admin) as stage:
            show.heading("1  Three targets: billing is well, crm stumbles, warehouse is down")
            await acts.fan_out(stage)
            show.heading("2  The warehouse comes up, crm is mended")
            await acts.mend(stage)
            show.heading("3  kill -9 in mid-flight")
            await acts.kill(stage)
            status = stage.dispatcher.stop()
            prove(status == 0, f"the dispatcher should end with status 0 at SIGTERM: {status}")
            show.say("SIGTERM: the dispatcher ended with status 0")


def program(home: Path, manifests: Path) -> tuple[Program, str, str]:
    """Make the dispatcher on free ports; gives it with the addresses of its data and admin ports."""
    door, admin = (f"127.0.0.1:{port}" for port in free_ports(2))
    command = ["fanout", "run", f"{manifests}/", "--allow-loopback", "--data", str(home / "data")]
    command += ["--listen", door, "--admin", admin]
    return Program(command, home / "dispatcher.log", ready=f"http://{admin}/readyz"), door, admin


if __name__ == "__main__":
    play("Fanout: one order event, three targets", demo)
