"""``fanout sagas``: see which sagas are stuck, have them undone after all, or give them up.

A saga that fails is undone in reverse. When one of its compensations is given up, what is left to undo waits: only
people can tell whether it should be tried again or be left as it is.
"""

import typing

import click

from fanout_dispatcher.cli import output
from fanout_dispatcher.cli.client import NAME, Admin, Command, Json, admin_option
from fanout_dispatcher.cli.output import Column, fail

COLUMNS: typing.Final = (
    Column("RECEIPT", "receipt"),
    Column("ACCEPTED", "accepted", when=True),
    Column("ROUTE", "route"),
    Column("STUCK AT", "target"),
    Column("ATTEMPTS", "attempts"),
    Column("REASON", "reason"),
    Column("DETAIL", "detail", folds=True),
    Column("LAST", "last", folds=True),
    Column("TYPE", "type", folds=True),
)
NONE: typing.Final = (
    "no stuck saga has this receipt, or its route or compensation is not in force (fanout sagas list, fanout routes)"
)
NO_WAY: typing.Final = "its route, or the compensation in it, is not in force; mend that (fanout routes shows both)"


@click.group()
def sagas() -> None:
    """Sagas that are stuck: a compensation was given up, and what came before it is not undone either.

    \b
    Example:
      fanout sagas list --route shop/order
      fanout sagas resume 0-2-e1a371c088015abc
    """


def chosen(command: Command) -> Command:
    """Give *command* the ways to say which sagas."""
    for option in (
        output.limited,
        click.option("--all", "all_", is_flag=True, help="All that are stuck (up to --limit)."),
        click.option("--route", metavar="NAMESPACE/NAME", help="Only those of this route."),
        click.argument("receipts", nargs=-1, metavar="[RECEIPT]…"),
    ):
        command = option(command)
    return command


@sagas.command("list")
@click.option("--route", metavar="NAMESPACE/NAME", help="Only those of this route.")
@click.option("--after", metavar="RECEIPT", help="Go on after this one.")
@output.limited
@admin_option
@output.formats
def list_(admin: str | None, form: str, **wanted: str | int | None) -> None:
    """List stuck sagas, oldest first: a line for each compensation that was given up.

    REASON and DETAIL say why, LAST how its last attempt ended, where there was
    one. `fanout events get RECEIPT` shows all of the event.

    \b
    Example:
      fanout sagas list
    """
    found = Admin(admin).get("/v1/sagas", **wanted)
    if form == "json":
        output.write_json(found)
        return
    rows = [row for one in found["items"] for row in _rows(one)]
    output.write_page(rows, COLUMNS, empty="no saga is stuck", following=found["next"])


@sagas.command()
@chosen
@admin_option
@output.formats
def resume(admin: str | None, form: str, **wanted: typing.Any) -> None:
    """Try again what is stuck, from the first attempt on; then the rest is undone.

    \b
    Example:
      fanout sagas resume 0-2-e1a371c088015abc
      fanout sagas resume --route shop/order
    """
    _act(Admin(admin), "resume", "resumed", form, _filter(**wanted))


@sagas.command()
@chosen
@click.option("--yes", is_flag=True, help="Do not ask.")
@admin_option
@output.formats
def abandon(admin: str | None, form: str, *, yes: bool, **wanted: typing.Any) -> None:
    """Give up what is stuck: it becomes a dead letter, and the rest is undone without it.

    \b
    Example:
      fanout sagas abandon 0-2-e1a371c088015abc --yes
    """
    body, api = _filter(**wanted), Admin(admin)
    if not yes:
        _confirm(api, body)
    _act(api, "abandon", "abandoned", form, body)


def _rows(saga: Json) -> typing.Iterator[output.Row]:
    for one in saga["stuck"]:
        last = one["history"][-1]["outcome"] if one["history"] else None
        yield {**saga, **one, "last": last}


def _confirm(api: Admin, body: Json) -> None:
    """Ask, with how many are stuck of those that are meant; where nobody answers, say how to go on without."""
    count = len(_stuck(api, body))
    if not count and body["receipts"]:
        raise fail(f"nothing is abandoned; {output.plain(', '.join(body['receipts']))}: {NONE}")
    if not count:
        raise fail("nothing is abandoned: no saga is stuck")
    what = "1 saga is" if count == 1 else f"{count} sagas are"
    try:
        sure = click.confirm(f"{what} meant: what is stuck of it is left as it is, for good. Go on?", err=True)
    except click.Abort:
        click.echo(err=True)
        raise fail(f"nothing is abandoned, {what} stuck still: say --yes where nobody can be asked") from None
    if not sure:
        raise fail("nothing is abandoned")


def _stuck(api: Admin, body: Json) -> list[Json]:
    """Give those that are stuck of what a filter means: events where receipts are named, else sagas."""
    if not body["receipts"]:
        return list(api.get("/v1/sagas", **{name: body[name] for name in ("route", "limit")})["items"])
    events = (api.find(f"/v1/events/{receipt}") for receipt in filter(NAME.fullmatch, body["receipts"]))
    return [event for event in events if event is not None and event.get("saga") == "Stuck"]


def _filter(*, receipts: tuple[str, ...], all_: bool, limit: int, route: str | None) -> Json:
    """Make the filter; nothing chosen is a usage error here, before anything is asked."""
    if (bool(receipts), all_, route is not None).count(True) != 1:
        raise click.UsageError("say which: receipts, or --route, or --all")
    return {"receipts": [*receipts] or None, "route": route, "all": all_ or None, "limit": None if receipts else limit}


def _act(api: Admin, verb: str, word: str, form: str, body: Json) -> None:
    """Have it done, and say how many it were; fail when fewer than were named, or none of those there are."""
    found = api.post(f"/v1/sagas/{verb}", body)
    if form == "json":
        output.write_json(found)
    else:
        for receipt in found["receipts"]:
            click.echo(receipt)
    done, named = len(found["receipts"]), body["receipts"] or ()
    if done < len(named):
        left = ", ".join(receipt for receipt in named if receipt not in found["receipts"])
        part = f"{done} of {len(named)} {word}; " if len(named) > 1 else ""
        raise fail(f"{part}{output.plain(left)}: {NONE}")
    if not done and found["remaining"]:
        raise fail(f"none {word}: {NO_WAY}")
    more = "; more remain: run it again for the next" if found["remaining"] else ""
    click.echo(f"{done} {word}{more}", err=True)
