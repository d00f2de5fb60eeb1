"""What the data port allows a client, and for how long. docs/security.md promises each figure that a client can meet.

One value per data port, made in the composition root; tests make smaller ones, so that no test waits for a real figure.
"""

import typing

import msgspec

OURS: typing.Final = 64  # descriptors that a dispatcher has open before anybody connects, generously
FEWEST: typing.Final = 8  # connections, however few descriptors there are


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """Caps and deadlines of one data port; sizes in bytes, times in seconds."""

    head_bytes: int = 32 * 1024  # request line and headers together; also what chunked framing may cost beyond its data
    headers: int = 100  # header lines in one request; as many trailers
    head_seconds: float = 10.0  # from the first byte of a request (or the connection) to the end of its head
    body_seconds: float = 30.0  # from the end of the head to the last byte of the body, however steadily it drips
    idle_seconds: float = 75.0  # a connection that asks nothing
    write_seconds: float = 30.0  # a client that does not read its answers
    linger_seconds: float = 2.0  # after a refusal: how long we listen without hearing, so that the answer arrives
    pipelined: int = 16  # requests of one connection that may be unanswered; above it we stop reading
    discard_bytes: int = 64 * 1024  # how much body of a refused request is read to keep its connection alive
    bodies_bytes: int = 256 * 1024 * 1024  # bodies being received, all connections together; 503 above it
    connections: int = 10_000
    connections_per_peer: int = 2_000  # per IPv4 address or IPv6 /64; in a cluster one proxy is one peer
    backlog: int = 1024  # connections the kernel keeps waiting for us

    @property
    def tick(self) -> float:
        """How often deadlines are looked at: they are kept to within this."""
        shortest = min(self.head_seconds, self.body_seconds, self.idle_seconds, self.write_seconds, self.linger_seconds)
        return max(0.005, min(0.25, shortest / 8))

    def within(self, descriptors: int) -> "Settings":
        """The same, with caps that leave targets and the journal more than half of the process's *descriptors*.

        The backlog is bounded too: all that wait in it are let in at once, before the cap turns any of them away.
        """
        return msgspec.structs.replace(
            self,
            connections=min(self.connections, max(FEWEST, (descriptors - OURS) // 2)),
            backlog=min(self.backlog, max(FEWEST, descriptors // 8)),
        )
