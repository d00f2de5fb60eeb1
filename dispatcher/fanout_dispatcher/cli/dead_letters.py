"""``fanout dead-letters``: see what was given up on, send it again to the target that failed, or drop it."""

import typing

import click

from fanout_dispatcher.cli import output
from fanout_dispatcher.cli.client import NAME, Admin, Command, Json, admin_option, named
from fanout_dispatcher.cli.output import Column, fail

COLUMNS: typing.Final = (
    Column("ID", "id"),
    Column("AT", "at", when=True),
    Column("ROUTE", "route"),
    Column("TARGET", "target"),
    Column("REASON", "reason"),
    Column("DETAIL", "detail", folds=True),
    Column("ATTEMPTS", "attempts"),
    Column("TYPE", "type", folds=True),
    Column("BYTES", "size"),
)
HISTORY: typing.Final = (
    Column("ATTEMPT AT", "at"),
    Column("OUTCOME", "outcome", folds=True),
    Column("SECONDS", "seconds"),
)
NARROWING: typing.Final = ("route", "target", "reason", "limit")  # of a filter's fields, those of a list
NO_WAY: typing.Final = (
    "the route or target is not in force, or its queue is full; mend that (fanout routes shows both), then replay"
)


@click.group("dead-letters")
def dead_letters() -> None:
    """Deliveries given up on, each kept with its reason.

    \b
    Example:
      fanout dead-letters list --route shop/order-placed --target crm
      fanout dead-letters replay --route shop/order-placed --target crm
    """


def chosen(command: Command) -> Command:
    """Give *command* the filter's options."""
    for option in (
        click.option("--reason", help="Only those with this reason, such as Expired."),
        click.option("--target", help="Only those of this target."),
        click.option("--route", metavar="NAMESPACE/NAME", help="Only those of this route."),
    ):
        command = option(command)
    return command


everything = click.option("--all", "all_", is_flag=True, help="All there are (up to --limit).")


@dead_letters.command("list")
@chosen
@click.option("--after", metavar="ID", help="Go on after this one.")
@output.limited
@admin_option
@output.formats
def list_(admin: str | None, form: str, **wanted: str | int | None) -> None:
    """List dead letters, oldest first.

    \b
    Example:
      fanout dead-letters list --reason TargetRejected
    """
    found = Admin(admin).get("/v1/dead-letters", **wanted)
    if form == "json":
        output.write_json(found)
        return
    output.write_page(found["items"], COLUMNS, empty="no dead letters", following=found["next"])


@dead_letters.command()
@click.argument("ident", metavar="ID")
@admin_option
@output.formats
def show(ident: str, admin: str | None, form: str) -> None:
    """Show one dead letter: why, its attempts, and the event as it came.

    \b
    Example:
      fanout dead-letters show 0-17 --output json
    """
    found = Admin(admin).get(f"/v1/dead-letters/{named(ident, 'the id of a dead letter')}")
    if form == "json":
        output.write_json(found)
        return
    for name, value in found.items():
        if name not in ("history", "headers", "body", "bodyBase64"):
            click.echo(f"{name}: {output.text(value)}")
    output.write_table(found["history"], HISTORY, empty="")
    for header in found["headers"]:
        click.echo(output.plain(f"{header['name']}: {header['value']}"))
    click.echo("\n" + output.plain(found.get("body") or f"(base64) {found.get('bodyBase64', '')}", keep="\n\t"))


@dead_letters.command()
@click.argument("ids", nargs=-1, metavar="[ID]…")
@chosen
@everything
@output.limited
@click.option("--yes", is_flag=True, help="Do not ask.")
@admin_option
@output.formats
def replay(admin: str | None, form: str, *, yes: bool, **wanted: typing.Any) -> None:
    """Send dead letters again, each to the target that failed only.

    Asks first where one is a step of a saga that was undone: nothing else of
    that saga is done again.

    \b
    Example:
      fanout dead-letters replay 0-17 0-18
      fanout dead-letters replay --route shop/order-placed --target crm --limit 1000
    """
    body = _filter(**wanted)
    api = Admin(admin)
    if not yes:
        _confirm_undone(api, body)
    found = api.post("/v1/dead-letters/replay", body)
    if form == "json":
        output.write_json(found)
    else:
        for receipt in found["receipts"]:
            click.echo(receipt)
    done = len(found["receipts"])
    if 0 < done < wanted["limit"] and found["remaining"] and not wanted["ids"]:  # every one that is meant was tried
        click.echo(f"{done} replayed; the rest cannot be: {NO_WAY}", err=True)
    else:
        _conclude(api, done, "replayed", found, wanted["ids"])


@dead_letters.command()
@click.argument("ids", nargs=-1, metavar="[ID]…")
@chosen
@everything
@output.limited
@click.option("--yes", is_flag=True, help="Do not ask.")
@admin_option
@output.formats
def remove(admin: str | None, form: str, *, yes: bool, **wanted: typing.Any) -> None:
    """Drop dead letters for good.

    \b
    Example:
      fanout dead-letters remove --route shop/order-placed --reason TargetRejected --yes
    """
    body = _filter(**wanted)
    api = Admin(admin)
    if not yes:
        _confirm(api, body)
    found = api.post("/v1/dead-letters/remove", body)
    if form == "json":
        output.write_json(found)
    _conclude(api, found["removed"], "removed", found, wanted["ids"])


def _confirm(api: Admin, body: Json) -> None:
    """Ask, with how many are meant."""
    count = len(body["ids"] or _listed(api, body))
    what = "1 dead letter is" if count == 1 else f"{count} dead letters are"
    _ask(f"{what} meant and cannot be brought back. Go on?", "removed", what)


def _confirm_undone(api: Admin, body: Json) -> None:
    """Ask, if sagas were undone of which steps are meant."""
    count = sum(bool(one.get("undone")) for one in (_named(api, body["ids"]) if body["ids"] else _listed(api, body)))
    if count == 1:
        question = "1 of these is a step of a saga that was undone: a replay does that step alone. Go on?"
        _ask(question, "replayed", "1 step of a saga that was undone is")
    elif count:
        question = f"{count} of these are steps of sagas that were undone: a replay does those steps alone. Go on?"
        _ask(question, "replayed", f"{count} steps of sagas that were undone are")


def _ask(question: str, word: str, what: str) -> None:
    """Ask; where nobody answers, say how to go on without."""
    try:
        sure = click.confirm(question, err=True)
    except click.Abort:
        click.echo(err=True)
        raise fail(f"nothing is {word}, {what} there still: say --yes where nobody can be asked") from None
    if not sure:
        raise fail(f"nothing is {word}")


def _listed(api: Admin, body: Json) -> list[Json]:
    """Give the dead letters that a filter means."""
    return list(api.get("/v1/dead-letters", **{name: body[name] for name in NARROWING})["items"])


def _named(api: Admin, ids: list[str]) -> typing.Iterator[Json]:
    """Give those of *ids* that are there."""
    for ident in filter(NAME.fullmatch, ids):
        if (found := api.find(f"/v1/dead-letters/{ident}")) is not None:
            yield found


def _filter(*, ids: tuple[str, ...], all_: bool, limit: int, **fields: str | None) -> Json:
    """Make the filter; nothing chosen is a usage error here, before anything is asked."""
    if ids and (all_ or any(fields.values())):
        raise click.UsageError("name ids or give a filter, not both")
    if all_ and any(fields.values()):
        raise click.UsageError("--all goes with no other filter")
    if not (ids or all_ or any(fields.values())):
        raise click.UsageError("say which: ids, --route, --target, --reason, or --all")
    return {"ids": list(ids) or None, "all": all_ or None, "limit": None if ids else limit, **fields}


def _conclude(api: Admin, done: int, word: str, found: Json, ids: tuple[str, ...]) -> None:
    """Say how many it were, and fail when fewer than were named, or none of those there are."""
    if done < len(ids):
        raise fail(f"{done} of {len(ids)} {word}: {_why_not(api, done, ids)}")
    if not done and found["remaining"]:
        raise fail(f"none {word}: {NO_WAY}")
    more = "; more remain: run it again for the next" if found["remaining"] else ""
    click.echo(f"{done} {word}{more}", err=True)


def _why_not(api: Admin, done: int, ids: tuple[str, ...]) -> str:
    """Tell the two causes apart: what was done is gone, so those of *ids* that are there could not be."""
    kept = [ident for ident in ids if NAME.fullmatch(ident) and api.has(f"/v1/dead-letters/{ident}")]
    causes = [f"{', '.join(kept)} cannot be: {NO_WAY}"] if kept else []
    missing = len(ids) - done - len(kept)
    if missing > 0:
        gone = [output.plain(ident) for ident in ids if ident not in kept]
        which = ", ".join(gone) if not done else f"the other{'s' * (missing > 1)}"  # those that were done are gone too
        causes.append(f"{which} {'is' if missing == 1 else 'are'} not there (any more)")
    return "; ".join(causes)
