"""Talks to a dispatcher that runs: finds its admin port, asks, and turns every problem into one sentence.

The port is the one that ``--admin`` or ``FANOUT_ADMIN`` names, else that of the state file in the data folder. The
token is ``FANOUT_ADMIN_TOKEN``. No proxy and no netrc from the environment: an admin port is a neighbour, no web site.
"""

import dataclasses
import os
import re
import typing

import click
import httpx

from fanout_dispatcher import state
from fanout_dispatcher.cli.output import fail, plain

PATIENCE: typing.Final = 30.0  # seconds
NAME: typing.Final = re.compile(r"[A-Za-z0-9_-]+")  # of an event or a dead letter, as it stands in a path
NO_ROUTE: typing.Final = "https://fanout.dev/problems/no-route"  # what only a data port answers
Json = dict[str, typing.Any]
Command = typing.TypeVar("Command", bound=typing.Callable[..., typing.Any])


@dataclasses.dataclass(frozen=True, slots=True)
class Place:
    """Where a dispatcher is: base URLs of its admin port and, when this machine knows it, its data port."""

    admin: str
    listen: str | None


def admin_option(command: Command) -> Command:
    """Give *command* the ``--admin`` option."""
    return click.option(
        "--admin",
        metavar="URL",
        envvar="FANOUT_ADMIN",
        show_envvar=True,
        help="Base URL of the admin port; its bearer token is taken from FANOUT_ADMIN_TOKEN. Unset: the dispatcher that"
        " runs on this machine's data folder.",
    )(command)


def find(admin: str | None) -> Place:
    """Find the dispatcher."""
    data = state.default_data(os.environ)
    running = state.read(data)
    if admin:
        return Place(admin.rstrip("/"), running.listen if running and running.admin == admin.rstrip("/") else None)
    if running is None:
        raise fail(
            f"no dispatcher runs on {plain(str(data))}:"
            " FANOUT_DATA names another folder, --admin URL another dispatcher"
        )
    return Place(running.admin, running.listen)


class Admin:
    """The admin API of one dispatcher."""

    def __init__(self, admin: str | None) -> None:
        self.place = find(admin)
        token = os.environ.get("FANOUT_ADMIN_TOKEN")
        self._headers = {"Authorization": f"Bearer {token}"} if token else {}

    def get(self, path: str, **query: str | int | None) -> Json:
        """GET; parameters that are None are left away."""
        wanted = {name: value for name, value in query.items() if value is not None}
        return answer(lambda: self._ask("GET", path, params=wanted))

    def find(self, path: str) -> Json | None:
        """GET; None when there is nothing at *path*."""
        response = reached(lambda: self._ask("GET", path))
        return None if response.status_code == httpx.codes.NOT_FOUND else answer(lambda: response)

    def has(self, path: str) -> bool:
        """Say whether there is anything at *path*."""
        return reached(lambda: self._ask("GET", path)).status_code != httpx.codes.NOT_FOUND

    def post(self, path: str, body: Json) -> Json:
        """POST a JSON body; fields that are None are left away."""
        wanted = {name: value for name, value in body.items() if value is not None}
        return answer(lambda: self._ask("POST", path, json=wanted))

    def save(self, path: str, stream: typing.BinaryIO) -> None:
        """POST, and write what comes into *stream*, however much and however long."""
        with client(self.place.admin, self._headers) as http:
            try:
                with http.stream("POST", path, timeout=httpx.Timeout(PATIENCE, read=None)) as response:
                    if not response.is_success:
                        response.read()
                        answer(lambda: response)
                    stream.writelines(response.iter_raw())
            except (httpx.HTTPError, httpx.InvalidURL) as error:
                raise fail(_sentence(error)) from None

    def _ask(self, method: str, path: str, **what: typing.Any) -> httpx.Response:
        with client(self.place.admin, self._headers) as http:
            response = http.request(method, path, **what)
        if response.status_code == httpx.codes.NOT_FOUND and NO_ROUTE in response.text:
            raise fail(f"{self.place.admin} is a data port, where events come in: name the admin port with --admin URL")
        return response


def named(name: str, what: str) -> str:
    """Give *name* as it goes into a path; what cannot be one of ours is said to be no *what*, and never asked for."""
    if not NAME.fullmatch(name):
        raise fail(f'"{plain(name)}" is not {what}')
    return name


def client(base: str, headers: typing.Mapping[str, str]) -> httpx.Client:
    """Make an HTTP client that takes nothing from the environment."""
    return httpx.Client(base_url=base, headers=dict(headers), timeout=PATIENCE, trust_env=False)


def answer(ask: typing.Callable[[], httpx.Response]) -> Json:
    """Ask, and give the JSON of the answer; raises the sentence of whatever went wrong."""
    response = reached(ask)
    if response.is_success:
        return _json(response)
    detail = _json(response).get("detail") if "json" in response.headers.get("content-type", "") else None
    raise fail(f"{detail or response.reason_phrase} ({response.status_code})")


def reached(ask: typing.Callable[[], httpx.Response]) -> httpx.Response:
    """Ask, and give the answer whatever it says; raises the sentence of why there was none."""
    try:
        return ask()
    except (httpx.HTTPError, httpx.InvalidURL, ValueError) as error:
        raise fail(_sentence(error)) from None


def _sentence(error: Exception) -> str:
    url = error.request.url if isinstance(error, httpx.RequestError) and error._request else None  # noqa: SLF001 (the property raises)
    where = f" at {url.copy_with(query=None)}" if url else ""
    return f"the dispatcher cannot be reached{where}: {str(error) or type(error).__name__}"


def _json(response: httpx.Response) -> Json:
    try:
        found = response.json()
    except ValueError:
        raise fail(f"{response.url} answered {response.status_code} without JSON: is it a dispatcher?") from None
    return found if isinstance(found, dict) else {"items": found}
