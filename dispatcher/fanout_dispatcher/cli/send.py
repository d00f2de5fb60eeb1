"""``fanout send``: send one event, as a producer would, and if asked wait until it is settled."""

import json
import pathlib
import re
import secrets
import sys
import typing

import click
import httpx

from fanout_dispatcher.cli import events, output
from fanout_dispatcher.cli.client import Admin, Json, admin_option, answer, client
from fanout_dispatcher.cli.output import fail

ROUTE: typing.Final = re.compile(r"[a-z0-9.-]+/[a-z0-9.-]+")
WILDCARD: typing.Final = frozenset({"0.0.0.0", "::"})
SOURCE: typing.Final = "/fanout/cli"
METHODS: typing.Final = ("POST", "PUT", "PATCH", "DELETE", "GET")


@click.command()
@click.argument("to", metavar="URL|NAMESPACE/NAME")
@click.option("--data", "-d", default="{}", show_default=True, metavar="TEXT|@FILE|-", help="The event's data.")
@click.option("--method", type=click.Choice(METHODS), default="POST", show_default=True, help="GET sends no data.")
@click.option("--type", "type_", help="CloudEvents type; any of type, source and id makes it a CloudEvent.")
@click.option("--source", help=f"CloudEvents source. Default {SOURCE}.")
@click.option("--id", "ident", help="CloudEvents id. Default random.")
@click.option("--header", "-H", "headers", multiple=True, metavar="NAME: VALUE", help="A further header; repeatable.")
@click.option("--wait", is_flag=True, help="Wait until every delivery is settled; exit 1 if any is dead.")
@click.option("--timeout", type=click.FloatRange(0), default=60.0, show_default=True, help="How long to wait, seconds.")
@admin_option
@output.formats
def send(to: str, admin: str | None, form: str, *, method: str, wait: bool, timeout: float, **what: typing.Any) -> None:
    """Send an event to a URL or to a route by name, and print its receipt.

    A route is looked up at the admin port. Without --type, --source or --id the data is posted as it is and the
    dispatcher makes an event of it.

    \b
    Example:
      fanout send shop/order-placed --data '{"total": 7}' --type order.placed --wait
      fanout send http://127.0.0.1:8080/shop/order-placed --data @order.json
    """
    url = to if "://" in to else _url_of(to, admin)
    body = b"" if method == "GET" else _read(what["data"])
    headers = _headers(body, what)
    with client("", {}) as http:
        accepted = answer(lambda: http.request(method, url, content=body, headers=headers))
        if "receipt" not in accepted:
            raise fail(f"{url} answered without a receipt: is it a route of a dispatcher?")
        if form != "json":
            click.echo(accepted["receipt"])
        if not wait:
            if form == "json":
                output.write_json(accepted)
            return
        _wait(http, str(httpx.URL(url).join(accepted["status"])), form, timeout)


def _wait(http: httpx.Client, status: str, form: str, timeout: float) -> None:
    def ask() -> Json:
        return answer(lambda: http.get(status))

    found = events.follow(ask, form, timeout=timeout)
    if form == "json":
        output.write_json(found)
    if not found["settled"]:
        raise fail(f"not settled after {timeout:g} s; see: fanout events get {found['receipt']} --watch")
    if events.dead(found):
        raise SystemExit(1)


def _url_of(route: str, admin: str | None) -> str:
    """Look a route's URL up; where the data port listens everywhere, it is on the admin port's machine."""
    if not ROUTE.fullmatch(route):
        raise click.UsageError(f'expected a URL or a route such as shop/order-placed, got "{route}"')
    api = Admin(admin)
    found = api.get(f"/v1/routes/{route}")
    if not found["path"]:
        raise fail(f"{route} is not in force: {output.plain(found['refused'] or '')}")
    if "{" in found["path"]:
        raise fail(f"{found['path']} has names in braces: send to its URL, with something in their place")
    url = found.get("url") or (api.place.listen + found["path"] if api.place.listen else None)
    if url is None:
        raise fail(f"the dispatcher does not say where its data port is: send to its URL, ending in {found['path']}")
    parsed = httpx.URL(url)
    return str(parsed.copy_with(host=httpx.URL(api.place.admin).host) if parsed.host in WILDCARD else parsed)


def _read(data: str) -> bytes:
    if data == "-":
        return sys.stdin.buffer.read()
    if not data.startswith("@"):
        return data.encode(errors="surrogateescape")
    try:
        return pathlib.Path(data[1:]).read_bytes()
    except OSError as error:
        raise click.UsageError(f"--data: {error.strerror}: {data[1:]}") from None


def _headers(body: bytes, what: typing.Mapping[str, typing.Any]) -> dict[str, str]:
    made = {"prefer": "respond-async"}  # a receipt, not what targets answer
    if body:
        made["content-type"] = _content_type(body)
    if what["type_"] or what["source"] or what["ident"]:
        made["ce-specversion"] = "1.0"
        made["ce-type"] = what["type_"] or "dev.fanout.request"
        made["ce-source"] = what["source"] or SOURCE
        made["ce-id"] = what["ident"] or secrets.token_hex(16)
    for header in what["headers"]:
        name, colon, value = header.partition(":")
        if not colon or not name.strip():
            raise click.UsageError(f'--header: expected "NAME: VALUE", got "{header}"')
        made[name.strip().lower()] = value.strip()
    return made


def _content_type(body: bytes) -> str:
    try:
        json.loads(body)
    except (ValueError, RecursionError):
        return "application/octet-stream"
    return "application/json"
