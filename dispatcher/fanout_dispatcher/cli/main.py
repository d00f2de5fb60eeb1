"""``fanout``: the group of commands; each lives in a module of its own."""

import importlib.metadata

import click

from fanout_dispatcher.cli.dead_letters import dead_letters
from fanout_dispatcher.cli.events import events
from fanout_dispatcher.cli.held import held
from fanout_dispatcher.cli.journal import journal
from fanout_dispatcher.cli.routes import routes
from fanout_dispatcher.cli.run import run
from fanout_dispatcher.cli.sagas import sagas
from fanout_dispatcher.cli.send import send
from fanout_dispatcher.cli.validate import validate


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(importlib.metadata.version("fanout"), package_name="fanout", prog_name="fanout")
def main() -> None:
    """One manifest says who receives an event and how patiently.

    \b
    Example:
      fanout run examples/01-fan-out/ --allow-loopback
      fanout send shop/order-placed --data '{"total": 7}' --wait

    Exit codes: 0 done, 1 it failed or (send --wait, events get --watch) something is dead, 2 used wrongly.
    """


for command in (run, validate, send, events, dead_letters, sagas, routes, held, journal):
    main.add_command(command)


if __name__ == "__main__":
    main()
