"""``fanout routes``: what a dispatcher runs, and how its targets are."""

import re
import typing

import click

from fanout_dispatcher.cli import output
from fanout_dispatcher.cli.client import Admin, Json, admin_option
from fanout_dispatcher.cli.output import Column

COLUMNS: typing.Final = (
    Column("ROUTE", "route"),
    Column("PATH", "path"),
    Column("TARGET", "target"),
    Column("CIRCUIT", "circuit"),
    Column("PENDING", "pending"),
    Column("IN FLIGHT", "inFlight"),
    Column("DEAD", "deadLetters"),
    Column("STUCK", "stuck"),
    Column("HELD", "held"),
    Column("LAST ERROR", "lastError", folds=True),
    Column("REFUSED", "refused", folds=True),
)
ROUTE: typing.Final = re.compile(r"[a-z0-9.-]+/[a-z0-9.-]+")


@click.command()
@click.argument("route", required=False, metavar="[NAMESPACE/NAME]")
@click.option("--route", "named", metavar="NAMESPACE/NAME", help="The same, as other commands have it.")
@admin_option
@output.formats
def routes(route: str | None, named: str | None, admin: str | None, form: str) -> None:
    """Show the routes in force and the state of their targets, and routes that were refused.

    PATH is shown where it is not /NAMESPACE/NAME; HELD and REFUSED say why
    nothing is sent, and why a newer manifest is not in force. A route without
    a target was never in force. A target with an arrow before it is where the
    route fetches events; compensations and callbacks stand behind the targets,
    and STUCK counts what was given up of them (fanout sagas). Columns without
    a word in them are left out.

    \b
    Example:
      fanout routes
      fanout routes shop/order-placed --output json
    """
    if route and named:
        raise click.UsageError("name the route once")
    route, api = route or named, Admin(admin)
    found = _one(api, route) if route else api.get("/v1/routes")
    if form == "json":
        output.write_json(found)
        return
    rows = [row for one in ([found] if route else found["items"]) for row in _rows(one)]
    output.write_table(rows, COLUMNS, empty="no route is in force")


def _one(api: Admin, route: str) -> Json:
    if ROUTE.fullmatch(route) is None:
        raise output.fail(f"no route {output.plain(route)} is in force here; write NAMESPACE/NAME")
    return api.get(f"/v1/routes/{route}")


def _rows(route: typing.Any) -> typing.Iterator[output.Row]:
    if not route["targets"]:  # its only manifest was refused: nothing runs, and that is what there is to say
        yield {"route": route["route"], "refused": route["refused"]}
    source = route.get("source")  # a dispatcher of before knows none
    if source:
        yield {**source, "route": route["route"], "target": f"← {source['name']}"}
    for target in route["targets"]:
        yield {
            **target,
            "stuck": target.get("stuck") or None,
            "route": route["route"],
            "path": None if route["path"] == f"/{route['route']}" else route["path"],
            "target": target["name"],
            "refused": route["refused"],
        }
