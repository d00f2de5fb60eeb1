"""Attributing samples of our process to parts of it: what the profile's table is made from.

A sample is a stack, outermost frame first, as py-spy's raw format has it: names of ours with their files, and names of
native code. The innermost frame that is known decides: the parser belongs to whoever called it, a syscall to the loop
that made it. uvloop reads before it calls anybody and writes after everybody has returned, so sockets are parts of
their own. Who waits costs nothing and is left out.
"""

import collections
import typing

Samples = typing.Iterable[tuple[list[str], int]]

WAITING: typing.Final = (
    "epoll_wait",
    "epoll_pwait",
    "pthread_cond_",
    "PyThread_acquire_lock_timed",
    "nanosleep",
    "sem_",
    "take_gil",
    "futex",
    "fsync",
    "fdatasync",
)
NATIVE: typing.Final = (
    ("gc_collect", "garbage collector"),
    ("uv__read", "sockets: read"),
    ("uv_run", "loop"),
)
WRITING: typing.Final = ("write (", "writev (", "send (", "sendto (", "sendmsg (")
OURS: typing.Final = (
    ("fanout_dispatcher/ingress/", "accept: parse, check, answer"),
    ("fanout_dispatcher/engine/acceptance", "accept: number, hand on"),
    ("fanout_dispatcher/engine/routes", "accept: number, hand on"),
    ("fanout_dispatcher/engine/receipts", "accept: number, hand on"),
    ("fanout_dispatcher/engine/committer", "journal: group, on the loop"),
    ("fanout_dispatcher/engine/linger", "journal: group, on the loop"),
    ("fanout_dispatcher/engine/book", "journal: group, on the loop"),
    ("fanout_dispatcher/journal/disk", "journal: group, on the loop"),
    ("fanout_dispatcher/journal/memory", "journal: memory"),
    ("fanout_dispatcher/journal/", "journal: SQLite, on its thread"),
    ("fanout_dispatcher/transport/", "send: request, answer, connection"),
    ("fanout_dispatcher/engine/", "lanes: gates, flights, deadlines, settle"),
    ("fanout_dispatcher/policies/", "lanes: gates, flights, deadlines, settle"),
    ("fanout_dispatcher/values/", "lanes: gates, flights, deadlines, settle"),
    ("fanout_dispatcher/admin/", "admin and metrics"),
    ("fanout_dispatcher/telemetry/", "admin and metrics"),
)
REST: typing.Final = "the rest"
THREADS: typing.Final = {"journal": "journal: SQLite, on its thread"}  # where no sample met a thread at work


def read(text: str) -> list[tuple[list[str], int]]:
    """Parse py-spy's raw format: frames with semicolons between them, a space, a count."""
    found = []
    for line in text.splitlines():
        stack, _, count = line.rpartition(" ")
        if stack:
            found.append((stack.split(";"), int(count)))
    return found


def part(stack: list[str]) -> str | None:
    """The part that a sample belongs to; None when the thread was waiting."""
    if any(name in frame for frame in stack[-3:] for name in WAITING):
        return None
    if stack[-1].startswith(WRITING):
        return "send: socket writes" if any("/transport/" in frame for frame in stack) else "accept: socket writes"
    for frame in reversed(stack):
        for known in (OURS, NATIVE):
            for name, found in known:
                if name in frame:
                    return found
    return REST


def thread(stack: list[str]) -> int:
    """The kernel's id of the thread that a sample is of: the first frame is "thread (17): name"."""
    return int(stack[0].partition("(")[2].partition(")")[0])


def budget(samples: Samples, cpu: dict[int, float], us: float) -> list[tuple[str, float]]:
    """*us* per event by part, dearest first: split between threads by their CPU, in each thread as its samples are."""
    second = us / sum(cpu.values())
    counts: dict[int, collections.Counter[str]] = collections.defaultdict(collections.Counter)
    names: dict[int, str] = {}
    for stack, count in samples:
        names[thread(stack)] = stack[0].rpartition(": ")[2]
        found = part(stack)
        if found is not None:
            counts[thread(stack)][found] += count
    spent: dict[str, float] = collections.defaultdict(float)
    for number, seconds in cpu.items():
        worked = counts.get(number) or collections.Counter({THREADS.get(names.get(number, ""), REST): 1})
        for name, count in worked.items():
            spent[name] += seconds * second * count / worked.total()
    return sorted(spent.items(), key=lambda one: -one[1])


def functions(samples: Samples, most: int) -> list[tuple[str, float]]:
    """Our functions by the share of all working samples in which each is the innermost of ours."""
    counts: collections.Counter[str] = collections.Counter()
    for stack, count in samples:
        if part(stack) is not None:
            counts[next((frame for frame in reversed(stack) if "fanout_dispatcher/" in frame), REST)] += count
    return [(name, count / counts.total()) for name, count in counts.most_common(most)]
