"""Errors as RFC 9457 problem details: every answer of these ports that is not a success has this shape.

`type` is left away (``about:blank``): the status and the sentence in `detail` are what a client needs. A fault of ours
is logged with its trace and answered without it.
"""

import http
import typing

import msgspec
import orjson
from aiohttp import web
from aiohttp.typedefs import Handler, Middleware
from structlog.typing import FilteringBoundLogger

from fanout_dispatcher.journal.faults import JournalFault
from fanout_dispatcher.values.desk import BadCursor


class Problem(Exception):
    """What a handler raises instead of answering: *status*, a sentence, and headers that go with it."""

    def __init__(self, status: int, detail: str, **headers: str) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.headers = {name.replace("_", "-"): value for name, value in headers.items()}


def answer(status: int, detail: str, headers: typing.Mapping[str, str] | None = None) -> web.Response:
    """Make the answer for a problem."""
    body = {"title": http.HTTPStatus(status).phrase, "status": status, "detail": detail}
    return web.Response(
        status=status, body=orjson.dumps(body), headers=dict(headers or {}), content_type="application/problem+json"
    )


def middleware(log: FilteringBoundLogger) -> Middleware:
    """Turn whatever a handler raises into a problem."""

    @web.middleware
    async def problems(request: web.Request, handler: Handler) -> web.StreamResponse:
        try:
            return await handler(request)
        except Problem as problem:
            return answer(problem.status, problem.detail, problem.headers)
        except web.HTTPException as http_error:
            return _http(request, http_error)
        except BadCursor as error:
            return answer(400, f"after: {error}")
        except JournalFault as fault:
            return answer(503, f"the journal cannot do that now: {fault}", {"Retry-After": "5"})
        except Exception as error:  # the edge: a fault of ours must not close the connection unexplained
            log.error("admin.failed", method=request.method, path=request.path, exc_info=error)
            return answer(500, "the dispatcher failed to answer; its log says why")

    return problems


def _http(request: web.Request, error: web.HTTPException) -> web.Response:
    keep = {name: error.headers[name] for name in ("Allow", "Retry-After") if name in error.headers}
    sentences = {
        404: f"there is nothing at {request.path}",
        405: f"{request.method} is not possible at {request.path}",
        413: "the body is too large for this port",
    }
    return answer(error.status, sentences.get(error.status, error.reason), keep)


def invalid(error: msgspec.MsgspecError) -> Problem:
    """Make a 400 out of what msgspec found; its sentence names the field."""
    return Problem(400, f"the body is not what was expected: {error}")
