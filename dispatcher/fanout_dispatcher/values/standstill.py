"""When this process stood still: it was stopped, suspended with its machine, or starved of the CPU.

Whoever keeps a deadline then finds it passed without having looked at what came in time: answers, requests and
connections lie unread in the sockets. So a timer that is later than a loaded loop ever is blames nobody. Three keep
such deadlines: the wheel for attempts, a dial for connecting, the data port for its clients.
"""

import typing

STALLED: typing.Final = 0.5  # seconds that a timer may be late before we take it that this process stood still
