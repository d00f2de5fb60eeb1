"""Logs: an event word and its fields, one line per change; JSON for machines, words on a terminal.

`logger` is made once, in the composition root, and handed to whoever speaks. `LogSeam` turns changes into lines.
What libraries say through `logging` comes out in the same form. A field that could hold a secret is blanked by its
name, and text from outside cannot forge a line or steer a terminal: it is quoted.
"""

import logging
import typing

import orjson
import structlog
from structlog.typing import EventDict, FilteringBoundLogger, WrappedLogger

from fanout_dispatcher.telemetry import seam

LEVELS: typing.Final = {"debug": 10, "info": 20, "warning": 30, "error": 40}
SECRET: typing.Final = frozenset(
    {"authorization", "bearer", "token", "password", "secret", "credentials", "cookie", "key"}
)
WORDS: typing.Final[typing.Mapping[type, tuple[str, int]]] = {
    seam.DeliveryDead: ("delivery.dead", logging.WARNING),
    seam.RouteAdopted: ("route.adopted", logging.INFO),
    seam.RouteRefused: ("route.refused", logging.WARNING),
    seam.RouteRetired: ("route.retired", logging.INFO),
    seam.JournalDegraded: ("journal.degraded", logging.ERROR),
    seam.JournalRecovered: ("journal.recovered", logging.INFO),
    seam.PlansHeld: ("plans.held", logging.WARNING),
    seam.PlansFaulty: ("plans.faulty", logging.WARNING),
    seam.PlansSynced: ("plans.synced", logging.INFO),
}
CIRCUIT: typing.Final[typing.Mapping[str, tuple[str, int]]] = {
    "Open": ("circuit.opened", logging.WARNING),
    "HalfOpen": ("circuit.probing", logging.INFO),
    "Closed": ("circuit.closed", logging.INFO),
}


def logger(stream: typing.TextIO, *, level: str = "info", form: str = "auto") -> FilteringBoundLogger:
    """Make the logger that writes to *stream*; *form* is json, text or auto (text on a terminal)."""
    text = form == "text" or (form == "auto" and stream.isatty())
    made: FilteringBoundLogger = structlog.wrap_logger(
        structlog.WriteLogger(stream),
        wrapper_class=structlog.make_filtering_bound_logger(LEVELS[level]),
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True, key="time"),
            structlog.processors.format_exc_info,
            _redact,  # last before rendering: nothing can add a field after it
            _text if text else _json,
        ],
    )
    return made


def adopt_libraries(log: FilteringBoundLogger, level: str = "warning") -> None:
    """Let what libraries say through `logging` at *level* and above come out of *log*."""
    logging.basicConfig(handlers=[_Bridge(log)], level=LEVELS[level], force=True)


class _Bridge(logging.Handler):
    def __init__(self, log: FilteringBoundLogger) -> None:
        super().__init__()
        self._log = log

    def emit(self, record: logging.LogRecord) -> None:
        fields: dict[str, object] = {"library": record.name, "said": record.getMessage()}
        if record.exc_info:
            fields["exc_info"] = record.exc_info
        self._log.log(min(record.levelno, logging.ERROR), "library.said", **fields)


def _redact(_logger: WrappedLogger, _method: str, fields: EventDict) -> EventDict:
    return {name: "***" if name.lower() in SECRET else value for name, value in fields.items()}


def _json(_logger: WrappedLogger, _method: str, fields: EventDict) -> str:
    return orjson.dumps(_ordered(fields), default=str, option=orjson.OPT_NON_STR_KEYS).decode()


def _text(_logger: WrappedLogger, _method: str, fields: EventDict) -> str:
    time, level, event, *rest = _ordered(fields).items()
    said = " ".join(f"{name}={_quoted(value)}" for name, value in rest)
    return f"{time[1]} {level[1]:<7} {_quoted(event[1])} {said}".rstrip()


def _ordered(fields: EventDict) -> EventDict:
    first = ("time", "level", "event")
    return {name: fields[name] for name in first} | {name: value for name, value in fields.items() if name not in first}


def _quoted(value: object) -> str:
    """Write *value* bare when it is one printable word, else in quotes with everything escaped that is not text."""
    text = str(value)
    if text and text.isprintable() and not any(one in ' "=\\' for one in text):
        return text
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return '"' + "".join(one if one.isprintable() else one.encode("unicode_escape").decode() for one in escaped) + '"'


class LogSeam:
    """Turns changes into log lines."""

    def __init__(self, log: FilteringBoundLogger) -> None:
        self._log = log

    def tell(self, change: seam.Change) -> None:
        """Write the line for *change*."""
        word, level = CIRCUIT[change.after] if isinstance(change, seam.CircuitChanged) else WORDS[type(change)]
        self._log.log(level, word, **{name: value for name, value in _fields(change) if value not in ("", None, ())})


def _fields(change: seam.Change) -> typing.Iterator[tuple[str, object]]:
    for name in change.__struct_fields__:
        value = getattr(change, name)
        yield name, ",".join(value) if isinstance(value, tuple) else value
