"""Trailers are counted and never kept: nobody reads them, and whoever sends them must not fill the memory."""

import pytest

from fanout_dispatcher.ingress.intake import Intake
from fanout_dispatcher.ingress.problems import Refusal
from fanout_dispatcher.ingress.request import Request
from fanout_dispatcher.ingress.settings import Settings

SETTINGS = Settings(head_bytes=2_000, headers=10)
BODY = b"x" * 10_000
CHUNKED = b"POST /shop/orders HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n"
TRAILED = CHUNKED + b"\r\n2710\r\n" + BODY + b"\r\n0\r\n"  # up to where trailers begin
TOO_MANY = b"x-sum: 1\r\n" * 11
TOO_LARGE = (b"x-sum: " + b"1" * 500 + b"\r\n") * 4


def taking(request: Request) -> Refusal | None:
    request.limit = 1 << 20
    return None


def fed(data: bytes, piece: int = 1_000) -> Intake:
    """Let *data* arrive in pieces, until nothing more is heard."""
    intake = Intake(SETTINGS, taking)
    for start in range(0, len(data), piece):
        if not intake.deaf:
            intake.feed(data[start : start + piece])
    return intake


def test_as_many_trailers_as_a_head_may_have_lines_are_read_and_none_is_kept() -> None:
    intake = fed(TRAILED + b"x-sum: 1\r\n" * 10)

    assert intake.lines == []
    intake.feed(b"\r\n")
    (request,) = intake.ready
    assert (request.refusal, request.body, len(request.lines)) == (None, BODY, 2)
    assert intake.lines == []


def test_each_request_may_have_so_many() -> None:
    intake = fed((TRAILED + b"x-sum: 1\r\n" * 10 + b"\r\n") * 3)

    assert [request.refusal for request in intake.ready] == [None] * 3


@pytest.mark.parametrize("trailers", [TOO_MANY, TOO_LARGE], ids=["lines", "bytes"])
@pytest.mark.parametrize("piece", [1, 1_000, 100_000])
def test_more_than_a_head_may_have_are_refused_as_a_head_is(trailers: bytes, piece: int) -> None:
    intake = fed(TRAILED + trailers + b"\r\n", piece)

    (request,) = intake.ready
    assert request.refusal is not None
    assert (request.refusal.problem.status, request.keep_alive) == (431, False)
    assert (intake.deaf, intake.lines, intake.held) == (True, [], 0)


def test_a_trailer_without_an_end_is_refused_however_large_the_body_was() -> None:
    intake = fed(TRAILED + b"x-sum: " + b"1" * 4_000)

    (request,) = intake.ready
    assert request.refusal is not None
    assert request.refusal.problem.status == 400
    assert intake.deaf


def test_a_body_in_many_chunks_with_little_framing_between_them_is_taken() -> None:
    intake = fed(CHUNKED + b"\r\n" + (b"10;a=" + b"b" * 60 + b"\r\n" + b"x" * 16 + b"\r\n") * 1_000 + b"0\r\n\r\n", 16)

    assert [(request.refusal, len(request.body)) for request in intake.ready] == [(None, 16_000)]
