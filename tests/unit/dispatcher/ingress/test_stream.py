"""However the network cuts a stream of bytes, the same requests come of it."""

import functools

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fanout_dispatcher.ingress.settings import Settings
from tests.unit.dispatcher.ingress.stub import StubEngine, connect

LIMITS = Settings(head_bytes=400, headers=12, discard_bytes=64, linger_seconds=0.1)
POST = b"POST /shop/orders HTTP/1.1\r\nHost: x\r\n"
REQUESTS = [
    POST + b"Content-Length: 5\r\n\r\nhello",
    POST + b"Content-Length: 0\r\nEmpty:\r\n\r\n",
    POST + b"Transfer-Encoding: chunked\r\n\r\n2;a=b\r\nhi\r\n1\r\n!\r\n0\r\nTrailer: x\r\n\r\n",
    POST + b"Connection: upgrade\r\nUpgrade: h2c\r\nContent-Length: 3\r\n\r\nabc",
    POST + b"Connection: upgrade\r\nUpgrade: h2c\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
    POST + b"Content-Type: application/json\r\nContent-Length: 2\r\n\r\n{]",
    POST + b"ce-specversion: 1.0\r\nce-id: 1\r\nce-source: /a\r\nce-type: t\r\nContent-Length: 1\r\n\r\nx",
    b"POST /nowhere HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nthrownout",
    b"\r\nGET /shop/orders HTTP/1.1\r\nHost: x\r\n\r\n",
    b"GET /shop/orders HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
]
LAST = [
    b"",
    POST + b"Connection: close\r\n\r\n" + POST + b"\r\n",
    POST + b"Content-Length: 1\r\nContent-Length: 1\r\n\r\nx",
    POST + b"Host: y\r\n\r\n" + POST + b"\r\n",
    POST + b"Content-Length: 4000\r\n\r\n" + b"x" * 100,
    POST + b"Transfer-Encoding: chunked\r\n\r\n" + b"400\r\n" + b"x" * 1024 + b"\r\n1\r\nx\r\n0\r\n\r\n",
    POST + b"X: " + b"x" * 600 + b"\r\n\r\n",
    POST + b"".join(b"x-%d: y\r\n" % number for number in range(20)) + b"\r\n",
    POST + b"Transfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n" + b"x: y\r\n" * 20 + b"\r\n",
    b"POST /nowhere HTTP/1.1\r\nHost: x\r\nContent-Length: 200\r\n\r\n" + b"y" * 200,
    b"nonsense\r\n\r\n",
]


async def answers(stream: bytes, cuts: list[int]) -> tuple[bytes, list[bytes]]:
    """Everything that is written when *stream* arrives in pieces, and the bodies that the engine took."""
    engine = StubEngine()
    connection, wire, port = connect(engine, LIMITS)
    for start, end in zip([0, *cuts], [*cuts, len(stream)], strict=True):
        if start < end:
            connection.data_received(stream[start:end])
    port.close()
    return wire.written, [body for _, body in engine.taken]


@settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    requests=st.lists(st.sampled_from(REQUESTS), max_size=4),
    last=st.sampled_from(LAST),
    places=st.lists(st.floats(0, 1), max_size=12),
)
async def test_a_stream_cut_anywhere_gives_the_same_answers(
    requests: list[bytes], last: bytes, places: list[float]
) -> None:
    stream = b"".join([*requests, last])
    cuts = sorted(int(place * len(stream)) for place in places)

    assert await answers(stream, cuts) == await answers(stream, [])


async def test_a_stream_byte_by_byte_gives_the_same_answers() -> None:
    for last in LAST:
        stream = b"".join([*REQUESTS, last])

        assert await answers(stream, list(range(1, len(stream)))) == await answers(stream, [])


@settings(max_examples=300)
@given(st.binary(max_size=300), st.sampled_from([b"", POST, POST + b"Transfer-Encoding: chunked\r\n\r\n"]))
async def test_no_bytes_raise_anything(noise: bytes, before: bytes) -> None:
    connection, wire, port = connect(StubEngine(), LIMITS)

    connection.data_received(before + noise)
    connection.eof_received()

    port.close()
    assert wire.written == b"" or wire.written.startswith(b"HTTP/1.1 ")


async def test_the_answers_of_a_whole_stream_are_the_expected_ones() -> None:
    written, bodies = await answers(b"".join(REQUESTS), [])

    statuses = [int(part[:3]) for part in written.split(b"HTTP/1.1 ")[1:]]
    assert statuses == [202, 202, 202, 202, 202, 400, 202, 404, 405, 405]
    assert functools.reduce(bytes.__add__, bodies) == b"hellohi!abcabcx"
