"""Whose a sample is, and what the parts add up to."""

import pytest

from bench.parts import OURS, REST, budget, functions, part, read
from bench.process import ROOT

LOOP = ["thread (7): MainThread", "Runner.run (asyncio/runners.py:118)", "uv_run (core.c:464)"]
FEED = "Intake.feed (fanout_dispatcher/ingress/intake.py:89)"
PUMP = "Lane.pump (fanout_dispatcher/engine/lane.py:170)"
SEND = "Connection.send (fanout_dispatcher/transport/connection.py:88)"
DISK = ["thread (8): journal", "ThreadDisk._work (fanout_dispatcher/journal/disk.py:74)"]
GC = "garbage collector"
COMMIT = "transact (fanout_dispatcher/journal/sqlite/transaction.py:24)"


@pytest.mark.parametrize("name", [name for name, _ in OURS])
def test_a_part_is_made_of_modules_that_are_there(name: str) -> None:
    assert list((ROOT / "dispatcher").glob(f"{name}*"))


@pytest.mark.parametrize(
    ("stack", "found"),
    [
        ([*LOOP, FEED, "llhttp__internal__run (llhttp.c:8005)"], "accept: parse, check, answer"),
        ([*LOOP, PUMP], "lanes: gates, flights, deadlines, settle"),
        ([*LOOP, PUMP, SEND, "memcpy (libc.so.6)"], "send: request, answer, connection"),
        ([*LOOP, "uv__stream_io (stream.c:1210)", "uv__read (stream.c:1063)", "read (libc.so.6)"], "sockets: read"),
        ([*LOOP, FEED, "UVStream__try_write (loop.c:106818)", "write (libc.so.6)"], "accept: socket writes"),
        ([*LOOP, PUMP, SEND, "os_write (libpython3.11.so.1.0)", "write (libc.so.6)"], "send: socket writes"),
        ([*LOOP, FEED, "gc_collect_main (libpython3.11.so.1.0)", "dict_traverse (libpython3.11.so.1.0)"], GC),
        ([*DISK, COMMIT, "pwrite64 (libc.so.6)"], "journal: SQLite, on its thread"),
        ([*DISK, COMMIT, "sqlite3_step (apsw)"], "journal: SQLite, on its thread"),
        ([*LOOP, "uv__io_poll (linux.c:1452)", "epoll_pwait (libc.so.6)"], None),
        ([*DISK, COMMIT, "fdatasync (libc.so.6)"], None),
        (["thread (9): log", "Outlet._work (fanout_crds/outlet.py:76)"], REST),
    ],
)
def test_the_innermost_frame_that_is_known_decides_and_who_waits_is_nobodys(
    stack: list[str], found: str | None
) -> None:
    assert part(stack) == found


def test_stacks_are_read_with_their_counts() -> None:
    assert read("a (x.py:1);b c (y.py:2) 3\n\n") == [(["a (x.py:1)", "b c (y.py:2)"], 3)]


def test_each_threads_cpu_is_split_as_its_samples_are_and_nothing_is_lost() -> None:
    samples = [
        ([*LOOP, FEED], 3),
        ([*LOOP, PUMP], 1),
        ([*DISK, COMMIT], 500),
        ([*DISK, "PyThread_acquire_lock_timed"], 9),
    ]

    found = dict(budget(samples, {7: 4.0, 8: 1.0, 9: 0.5}, us=110.0))

    assert found == {
        "accept: parse, check, answer": 60.0,
        "lanes: gates, flights, deadlines, settle": 20.0,
        "journal: SQLite, on its thread": 20.0,
        REST: 10.0,
    }


def test_a_thread_that_no_sample_met_at_work_is_known_by_its_name() -> None:
    samples = [([*LOOP, FEED], 3), ([*DISK, COMMIT, "fdatasync (libc.so.6)"], 500)]

    assert dict(budget(samples, {7: 3.0, 8: 1.0}, us=100.0))["journal: SQLite, on its thread"] == 25.0


def test_native_code_counts_for_the_innermost_function_of_ours() -> None:
    samples = [([*LOOP, FEED, "feed_data (parser.c:1)"], 3), ([*LOOP, PUMP, SEND], 1)]

    assert functions(samples, 1) == [(FEED, 0.75)]
