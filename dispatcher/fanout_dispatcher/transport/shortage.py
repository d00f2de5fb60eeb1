"""Tells a shortage of this machine (descriptors, memory, threads) from a fault of a target.

It says nothing about the target: then the target was not asked, and the outcome is Refused instead of Failed.
"""

import errno
import socket
import ssl
import typing

from fanout_dispatcher.values.outcome import Refused

SHORT: typing.Final = Refused("the dispatcher is short of file descriptors or memory")
_OURS: typing.Final = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})


def ours(fault: Exception) -> bool:
    """Whether the fault is a shortage of this machine."""
    return isinstance(fault, OSError) and not isinstance(fault, ssl.SSLError) and fault.errno in _OURS


def out_of_descriptors() -> bool:
    """Whether nothing can be opened: a resolver that cannot read its files says no more than that it has failed."""
    try:
        socket.socket().close()
    except OSError as fault:
        return ours(fault)
    return False
