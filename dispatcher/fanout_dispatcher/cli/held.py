"""``fanout held``: routes that stay in force because many vanished at once, and letting go of them."""

import typing

import click

from fanout_dispatcher.cli import output
from fanout_dispatcher.cli.client import Admin, admin_option
from fanout_dispatcher.cli.output import Column

COLUMNS: typing.Final = (Column("ROUTE", "route"),)


@click.group()
def held() -> None:
    """Routes that are in no manifest any more and stay in force.

    Many vanished at once, which looks like a fault: they accept and deliver on.

    \b
    Example:
      fanout held list
      fanout held let-go shop/order-placed
    """


@held.command("list")
@admin_option
@output.formats
def list_(admin: str | None, form: str) -> None:
    """List the routes that are held.

    \b
    Example:
      fanout held list --output json
    """
    found = Admin(admin).get("/v1/held")
    if form == "json":
        output.write_json(found)
        return
    output.write_table(found["items"], COLUMNS, empty="nothing is held")


@held.command("let-go")
@click.argument("routes", nargs=-1, metavar="[NAMESPACE/NAME]…")
@click.option("--all", "all_", is_flag=True, help="All that are held.")
@admin_option
@output.formats
def let_go(routes: tuple[str, ...], all_: bool, admin: str | None, form: str) -> None:
    """End routes that are held, as if each had been deleted.

    They take no more events and deliver what they owe for 30 s more; what is
    left becomes dead letters with the reason RouteDeleted.

    \b
    Example:
      fanout held let-go shop/order-placed shop/returns
      fanout held let-go --all
    """
    if bool(routes) == all_:
        raise click.UsageError("name the routes, or say --all")
    found = Admin(admin).post("/v1/held/let-go", {"all": True} if all_ else {"routes": list(routes)})
    if form == "json":
        output.write_json(found)
    click.echo(f"{len(found['routes'])} let go", err=True)
