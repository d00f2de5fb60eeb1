"""Brings the loopback interface up where a fresh network namespace has left it down.

`unshare -n make test` shows that nothing is fetched; but such a namespace starts with its own loopback switched off,
and then not even 127.0.0.1 answers. Called before anything listens; where it is up already, or may not be touched,
nothing happens.
"""

import fcntl
import socket
import struct

GET_FLAGS, SET_FLAGS, UP = 0x8913, 0x8914, 0x1  # SIOCGIFFLAGS, SIOCSIFFLAGS, IFF_UP of netdevice(7)
REQUEST = "16sH14x"


def bring_up() -> None:
    """Switch `lo` on if it is off and we may."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
        try:
            answer = fcntl.ioctl(control, GET_FLAGS, struct.pack(REQUEST, b"lo", 0))
            name, flags = struct.unpack(REQUEST, answer)
            if not flags & UP:
                fcntl.ioctl(control, SET_FLAGS, struct.pack(REQUEST, name, flags | UP))
        except OSError:  # not Linux, or not ours to switch: whoever connects will say so
            return
