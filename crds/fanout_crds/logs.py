"""The form of a log line, which people read and search alike whichever plane wrote it.

An event word and its fields, one line per change; JSON for machines, words on a terminal. What libraries say through
`logging` comes out in the same form. A field that could hold a secret is blanked by its name, and text from outside
cannot forge a line or steer a terminal: it is quoted. It is here because both planes promise it, and only this package
is known to both; what is said, and when, is theirs.
"""

import functools
import json
import logging
import typing

import orjson
import structlog
from structlog.typing import EventDict, FilteringBoundLogger, Processor, WrappedLogger

from fanout_crds.outlet import Outlet

LEVELS: typing.Final = {"debug": 10, "info": 20, "warning": 30, "error": 40}
SECRET: typing.Final = frozenset(
    {"authorization", "bearer", "token", "password", "secret", "credentials", "cookie", "key"}
)

Faults = tuple[type[BaseException], ...]
Stream = typing.TextIO | Outlet  # a process gives an Outlet, so that nobody ever waits for whoever reads its log


def logger(
    stream: Stream, *, level: str = "info", form: str = "auto", always: typing.Mapping[str, object] | None = None
) -> FilteringBoundLogger:
    """Make the logger that writes to *stream*; *form* is json, text or auto (text on a terminal).

    Every line has the fields *always*, also those that are not written through what is returned.
    """
    made: FilteringBoundLogger = structlog.wrap_logger(
        structlog.WriteLogger(typing.cast(typing.TextIO, stream)),
        wrapper_class=_at(level),
        processors=_processors(stream, form, always or {}),
    )
    return made


def configure(stream: Stream, *, level: str = "info", form: str = "auto") -> FilteringBoundLogger:
    """Have every `structlog.get_logger()` of this process write to *stream*, in the form that `logger` gives."""
    structlog.configure(
        logger_factory=structlog.WriteLoggerFactory(typing.cast(typing.TextIO, stream)),
        wrapper_class=_at(level),
        processors=_processors(stream, form, {}),
    )
    made: FilteringBoundLogger = structlog.get_logger()
    return made


def adopt_libraries(log: FilteringBoundLogger, level: str = "warning", *, usual: Faults = ()) -> None:
    """Let what libraries say through `logging` at *level* and above come out of *log*.

    A fault is written with its trace, unless it is one of the *usual*: those that are retried, and told in one line.
    """
    logging.basicConfig(handlers=[_Bridge(log, usual)], level=LEVELS[level], force=True)


def _at(level: str) -> type[FilteringBoundLogger]:
    return structlog.make_filtering_bound_logger(LEVELS[level])


def _processors(stream: Stream, form: str, always: typing.Mapping[str, object]) -> list[Processor]:
    text = form == "text" or (form == "auto" and stream.isatty())
    processors: list[Processor] = [
        lambda _logger, _method, fields: {**always, **fields},
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True, key="time"),
        structlog.processors.format_exc_info,
        _redact,  # last before rendering: nothing can add a field after it
        _text if text else _json,
    ]
    if isinstance(stream, Outlet):
        stream.notice = functools.partial(_dropped, processors)
    return processors


def _dropped(processors: list[Processor], lines: int) -> str:
    """The line that stands for lines that were lost."""
    said: typing.Any = {"event": "log.dropped", "lines": lines}
    for process in processors:
        said = process(None, "warning", said)
    return str(said)


class _Bridge(logging.Handler):
    def __init__(self, log: FilteringBoundLogger, usual: Faults) -> None:
        super().__init__()
        self._log = log
        self._usual = usual

    def emit(self, record: logging.LogRecord) -> None:
        fields: dict[str, object] = {"library": record.name, "said": record.getMessage()}
        if record.exc_info and not isinstance(record.exc_info[1], self._usual):
            fields["exc_info"] = record.exc_info
        self._log.log(min(record.levelno, logging.ERROR), "library.said", **fields)


def _redact(_logger: WrappedLogger, _method: str, fields: EventDict) -> EventDict:
    return {name: "***" if name.lower() in SECRET else value for name, value in fields.items()}


def _json(_logger: WrappedLogger, _method: str, fields: EventDict) -> str:
    try:
        return orjson.dumps(_ordered(fields), default=str, option=orjson.OPT_NON_STR_KEYS).decode()
    except TypeError:  # text that is none, such as a file's name in another encoding, or a number beyond 64 bits
        return json.dumps(_ordered(fields), default=str)


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
