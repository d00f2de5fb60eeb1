"""``fanout events``: what became of an accepted event, once or until it is settled."""

import time
import typing

import click
import rich.live

from fanout_dispatcher.cli import output
from fanout_dispatcher.cli.client import Admin, Json, admin_option, named
from fanout_dispatcher.cli.output import Column

COLUMNS: typing.Final = (
    Column("TARGET", "target"),
    Column("STATE", "state"),
    Column("ATTEMPTS", "attempts"),
    Column("DUE", "due", when=True),
    Column("HELD", "held"),
    Column("REASON", "reason"),
    Column("DETAIL", "detail", folds=True),
    Column("LAST", "last", folds=True),
    Column("REPLAYED AS", "replayedAs"),
)
LIST: typing.Final = (
    Column("RECEIPT", "receipt"),
    Column("ACCEPTED", "accepted", when=True),
    Column("ROUTE", "route"),
    Column("TYPE", "type", folds=True),
    Column("ID", "id", folds=True),
    Column("DELIVERIES", "states", folds=True),
)
UNDOING: typing.Final = {
    "Undoing": ", its saga failed and is being undone",
    "Stuck": ", its saga failed and is stuck as it is undone (fanout sagas)",
    "Undone": ", its saga failed and was undone",
    "Abandoned": ", its saga failed and was undone but for what was abandoned",
}
POLL: typing.Final = 0.25  # seconds


@click.group()
def events() -> None:
    """Accepted events and what became of them.

    \b
    Example:
      fanout events list --route shop/order-placed
      fanout events get RECEIPT --watch
    """


@events.command()
@click.argument("receipt")
@click.option("--watch", is_flag=True, help="Follow it until every delivery is settled.")
@admin_option
@output.formats
def get(receipt: str, admin: str | None, form: str, *, watch: bool) -> None:
    """Show one event and each of its deliveries. Exits 1 when, followed to its end, any is dead.

    ATTEMPTS counts what was spent: a probe of an open circuit that fails costs a delivery nothing.

    \b
    Example:
      fanout events get RECEIPT --watch
    """
    api = Admin(admin)
    path = f"/v1/events/{named(receipt, 'a receipt')}"

    def ask() -> Json:
        return api.get(path)

    found = follow(ask, form) if watch else ask()
    if not watch or form == "json":
        write(found, form)
    if watch and dead(found):
        raise SystemExit(1)


@events.command("list")
@click.option("--route", metavar="NAMESPACE/NAME", help="Only those of this route.")
@click.option("--after", metavar="RECEIPT", help="Go on after this one.")
@output.limited
@admin_option
@output.formats
def list_(admin: str | None, form: str, **wanted: str | int | None) -> None:
    """List events, newest first. TYPE and ID are known until an event is settled.

    Dead (FellBack) is a delivery that a fallback stands in for: no dead letter.

    \b
    Example:
      fanout events list --limit 20
    """
    found = Admin(admin).get("/v1/events", **wanted)
    if form == "json":
        output.write_json(found)
        return
    rows = [{**one, "states": ", ".join(map(_in_short, one["deliveries"]))} for one in found["items"]]
    output.write_page(rows, LIST, empty="no events", following=found["next"])


def _in_short(delivery: Json) -> str:
    fell_back = " (FellBack)" if delivery.get("reason") == "FellBack" else ""
    return f"{delivery['target']} {delivery['state']}{fell_back}"


def follow(ask: typing.Callable[[], Json], form: str, *, timeout: float | None = None) -> Json:
    """Ask until the event is settled; gives the last answer.

    On a terminal a table lives meanwhile; into a pipe goes only the last one. Gives up after *timeout* seconds, with
    what there is then.
    """
    screen = output.console()
    if form == "table" and screen.is_terminal:
        with rich.live.Live(console=screen, transient=False, auto_refresh=False) as live:
            return _settled(ask, timeout, lambda found: live.update(output.listing(rows(found), COLUMNS), refresh=True))
    found = _settled(ask, timeout, lambda _: None)
    if form == "table":
        output.write_table(rows(found), COLUMNS, empty="no deliveries")
    return found


def _settled(ask: typing.Callable[[], Json], timeout: float | None, show: typing.Callable[[Json], None]) -> Json:
    end = None if timeout is None else time.monotonic() + timeout  # noqa: TID251 (a command's own patience)
    while True:
        found = ask()
        show(found)
        if found["settled"] or (end is not None and time.monotonic() >= end):  # noqa: TID251
            return found
        time.sleep(POLL)  # noqa: TID251 (a command, not the engine)


def write(found: Json, form: str) -> None:
    """Write one event."""
    if form == "json":
        output.write_json(found)
        return
    settled = "settled" if found["settled"] else "not settled"
    undoing = UNDOING.get(found.get("saga") or "", "")
    of = f", a replay of {found['replayOf']}" if found.get("replayOf") else ""
    said = f"{found['receipt']}  {found['route']}  accepted {found['accepted']}  {settled}{undoing}{of}"
    click.echo(output.plain(said))
    output.write_table(rows(found), COLUMNS, empty="no deliveries")


def rows(found: Json) -> list[output.Row]:
    """Give the table's rows of an event's deliveries, with the last attempt of each."""
    return [{**one, "last": (one.get("history") or [{}])[-1].get("outcome")} for one in found["deliveries"]]


def dead(found: Json) -> bool:
    """Say whether any delivery of the event is dead."""
    return any(one["state"] == "Dead" for one in found["deliveries"])
