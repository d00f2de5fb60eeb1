"""Manifests in files and folders: FanoutRoutes and the Secrets they name, with file and line for everything wrong.

For `fanout run`, `fanout validate` and whoever else has no API server. One bad document never hides another: what is
good is given, what is wrong is a fault. A kind that is not ours is a fault in a file that was named, and a notice in a
folder, which may hold the rest of an application too; but one that was probably meant to be ours is a fault everywhere,
and so is a blank file: whoever follows a folder must be able to tell a slip from a removal.
"""

import base64
import binascii
import difflib
import os
import pathlib
import stat
import typing
from collections.abc import Iterable, Iterator

import msgspec

from fanout_crds.faults import Fault, Faults, Invalid, Lines, show
from fanout_crds.nearest import hint
from fanout_crds.objects import join
from fanout_crds.route import GROUP, KIND, FanoutRoute, parse, read_metadata
from fanout_crds.texts import SecretName
from fanout_crds.yamltree import MOST_BYTES, Document, Unreadable, documents

SUFFIXES: typing.Final = (".yaml", ".yml", ".json")
MOST_FILES: typing.Final = 10_000
SECRET_BYTES: typing.Final = 1024**2  # what the API server takes
ROUTES: typing.Final = f"{KIND}List"
NEAR: typing.Final = 0.83  # the likeness of "Sceret" and "Secret"; SealedSecret, SecretStore and HTTPRoute are below it

Secrets = dict[tuple[str, str], dict[str, bytes]]


class Sourced(msgspec.Struct, frozen=True):
    """A route, where it is written, and as it is written; *at* is its path in its document (an item of a List)."""

    route: FanoutRoute
    file: str
    line: int | None
    lines: Lines | None = None
    at: str = ""
    document: typing.Mapping[str, typing.Any] = {}

    def placed(self, fault: Fault) -> Fault:
        """Give a fault found later, when compiling, with its file and line."""
        path = join(self.at, fault.path) if self.at else fault.path
        line = self.line if self.lines is None else self.lines.line(path)
        return Fault(path, fault.message, self.file, line)


class Manifests:
    """What was found: routes, Secrets by (namespace, name), faults, and notices of what was left alone.

    *turned* has the first fault of each document that is a route by its kind and name, and no good one;
    *secret_places* the file and line of each Secret.
    """

    def __init__(self) -> None:
        self.routes: list[Sourced] = []
        self.secrets: Secrets = {}
        self.faults: list[Fault] = []
        self.notices: list[Fault] = []
        self.turned: dict[str, Fault] = {}
        self.secret_places: dict[tuple[str, str], tuple[str, int | None]] = {}
        self._by_key: dict[str, Sourced] = {}
        self._by_claim: dict[str, Sourced] = {}

    def __repr__(self) -> str:
        found = f"{len(self.routes)} routes, {len(self.secrets)} secrets"
        return f"<Manifests {found}, {len(self.faults)} faults, {len(self.notices)} notices>"

    # --- one document -------------------------------------------------------------------------------------------------

    def take(self, document: Document, *, named: bool) -> None:
        """Take one document of a file; *named* when the file itself was asked for."""
        self.faults += document.faults
        self.notices += document.notices
        if not document.faults:
            self._take(document.value, "", document.lines, named=named)

    def _take(self, value: object, at: str, lines: Lines, *, named: bool) -> None:
        faults = Faults(lines)
        kind = value.get("kind") if isinstance(value, dict) else None
        try:
            match value, kind:
                case {"items": list(items)}, "List" | "FanoutRouteList":
                    for place, item in enumerate(items):
                        self._take(item, join(at, f"items[{place}]"), lines, named=named)
                case dict(), "List" | "FanoutRouteList":
                    faults.add(join(at, "items"), "expected a list")
                case {"apiVersion": "v1"}, "Secret":
                    self._take_secret(typing.cast("dict[str, object]", value), at, lines)
                case dict(), str() if kind != KIND and kind.casefold() != KIND.casefold():
                    words = f"{show(kind)} is not a {KIND} or a Secret"
                    if slip := _slip(value.get("apiVersion"), kind):
                        faults.add(join(at, slip[0]), slip[1])
                    elif named:
                        faults.add(join(at, "kind"), words)
                    else:
                        left = f"kind {words}: left alone"
                        self.notices.append(Fault("", left, lines.file, lines.line(join(at, "kind"))))
                case _:
                    self._take_route(value, at, lines)
        except Invalid as wrong:
            self.faults += wrong.faults
        self.faults += faults.found()

    def _take_route(self, value: object, at: str, lines: Lines) -> None:
        try:
            self._keep(parse(value, lines=lines, at=at), at, lines, typing.cast("dict[str, object]", value))
        except Invalid as wrong:
            if key := _key(value):
                self.turned.setdefault(key, wrong.faults[0])
            raise

    def _keep(self, route: FanoutRoute, at: str, lines: Lines, document: dict[str, object]) -> None:
        """Keep a route unless another has its name or its path: the first one has them."""
        faults = Faults(lines)
        if there := self._by_key.get(route.key):
            faults.add(join(at, "metadata.name"), f"route {route.key} is already written at {there.file}:{there.line}")
        elif there := self._by_claim.get(route.claim):
            says = f"path {route.path} is already that of route {there.route.key} at {there.file}:{there.line}"
            says += "" if there.route.path == route.path else f", {there.route.path}: names in braces tell none apart"
            faults.add(join(at, "spec.listen.path"), says)
        faults.check()
        taken = Sourced(route, lines.file, lines.line(at), lines, at, document)
        self.routes.append(taken)
        self._by_key[route.key] = self._by_claim[route.claim] = taken

    def _take_secret(self, value: dict[str, object], at: str, lines: Lines) -> None:
        faults = Faults(lines)
        metadata = read_metadata(value.get("metadata"), join(at, "metadata"), faults, name=SecretName)
        data = dict(_secret_data(value, at, faults))
        if metadata is None or faults:
            raise Invalid(faults.found())
        key, here = (metadata.namespace, metadata.name), (lines.file, lines.line(at))
        if (there := self.secret_places.setdefault(key, here)) != here:
            where = f"{there[0]}:{there[1]}"
            faults.add(join(at, "metadata.name"), f"Secret {key[0]}/{key[1]} is already written at {where}")
            faults.check()
        self.secrets[key] = data


def _key(value: object) -> str | None:
    """The key of what is meant to be a route; None where its kind or its name cannot be read."""
    if not isinstance(value, dict) or value.get("kind") != KIND:
        return None
    metadata = read_metadata(value.get("metadata"), "", Faults())
    return None if metadata is None else f"{metadata.namespace}/{metadata.name}"


def _slip(api: object, kind: str) -> tuple[str, str] | None:
    """Say what is wrong with a document that is none of ours but was probably meant to be; None when it was not."""
    group = api.rpartition("/")[0] if isinstance(api, str) else ""
    if group == GROUP:
        return "kind", f"{show(kind)} is not a kind of {GROUP}; {hint(kind, (KIND, ROUTES))}"
    if not group and kind == "Secret":
        return "apiVersion", f'expected "v1" with a Secret, {"it is missing" if api is None else f"got {show(api)}"}'
    known = {one.casefold(): one for one in (KIND, ROUTES, *(() if group else ("Secret",)))}  # others have Secrets too
    close = difflib.get_close_matches(kind.casefold()[:100], known, n=1, cutoff=NEAR)
    return ("kind", f'{show(kind)} is not a {KIND} or a Secret; did you mean "{known[close[0]]}"?') if close else None


def _secret_data(value: dict[str, object], at: str, faults: Faults) -> Iterator[tuple[str, bytes]]:
    """Give a Secret's keys and values, stringData over data. A fault never repeats a value."""
    read: tuple[tuple[str, typing.Callable[[str], bytes], str], ...] = (
        ("data", _base64, "expected base64 text"),
        ("stringData", str.encode, "expected text"),
    )
    size = 0
    for field, decode, sentence in read:
        entries = value.get(field) or {}
        if not isinstance(entries, dict):
            faults.add(join(at, field), f"expected a mapping, got {show(entries, quiet=True)}")
            continue
        for key, one in entries.items():
            try:
                found = decode(one)
            except (TypeError, ValueError):
                faults.add(join(join(at, field), key), sentence)
                continue
            size += len(found)
            yield key, found
    if size > SECRET_BYTES:
        faults.add(at, f"a Secret holds up to {SECRET_BYTES} bytes, this one has {size}")


def _base64(text: str) -> bytes:
    try:
        return base64.b64decode("".join(text.split()), validate=True)
    except (AttributeError, binascii.Error) as wrong:
        raise ValueError from wrong


# --- files and folders ------------------------------------------------------------------------------------------------


def load(paths: Iterable[str | os.PathLike[str]]) -> Manifests:
    """Read manifests from files, and from folders with all that is in them; never raises for what they hold."""
    found = Manifests()
    for path in map(pathlib.Path, paths):
        if path.is_dir():
            files = list(_files(path))
            if not files:
                found.notices.append(Fault("", "no .yaml, .yml or .json file in this folder", shown(path)))
            if len(files) > MOST_FILES:
                found.faults.append(
                    Fault("", f"{len(files)} files in this folder, up to {MOST_FILES} are read", shown(path))
                )
                continue
            for file in files:
                if _irregular(file):
                    found.notices.append(Fault("", "is no regular file: left alone", shown(file)))
                else:
                    _load(file, found, named=False)
        else:
            _load(path, found, named=True)
    return found


def _files(folder: pathlib.Path) -> Iterator[pathlib.Path]:
    """Find manifests below *folder* in a stable order.

    Hidden folders are left out: a mounted ConfigMap keeps each file a second time in one (`..data`).
    """
    for here, folders, files in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(files):
            if name.lower().endswith(SUFFIXES) and not name.startswith("."):
                yield pathlib.Path(here, name)


def shown(path: pathlib.Path) -> str:
    """Give *path* as it is told to people: a name that is no UTF-8 with what cannot be written escaped."""
    return str(path).encode(errors="backslashreplace").decode()


def _irregular(file: pathlib.Path) -> bool:
    """Whether *file* is a pipe, a socket or a device: to open one may wait, or do something."""
    try:
        return not stat.S_ISREG(file.stat().st_mode)
    except OSError:
        return False  # opening it tells why


def _load(file: pathlib.Path, found: Manifests, *, named: bool) -> None:
    name = shown(file)
    try:
        with file.open("rb") as stream:
            data = stream.read(MOST_BYTES + 1)
        read = documents(data, name, is_json=file.suffix.lower() == ".json")
    except OSError as wrong:
        found.faults.append(Fault("", f"cannot be read: {wrong.strerror or wrong}", name))
    except Unreadable as wrong:
        found.faults.append(Fault("", wrong.sentence, name, wrong.line))
    else:
        for document in read:
            found.take(document, named=named)
        if not read and named:
            found.faults.append(Fault("", "there is no manifest in this file", name))
        elif not data.strip():
            found.faults.append(Fault("", "the file is empty: remove it if it shall hold nothing", name))
