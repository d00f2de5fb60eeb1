"""What a route fetches by itself."""

import msgspec

from fanout_crds.sources import AfterTaking, Columns


class PostgresOutbox(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """An outbox table that events are fetched from. *held* is the reason why it cannot be asked."""

    url: str | None  # handle of the URL; None only when held
    ca: str | None  # handle of the PEM bundle
    address: tuple[str, int] | None  # host and port to connect to, where they are not the URL's
    private: bool  # a service inside the cluster: its addresses are allowed
    held: str | None
    held_message: str | None
    table: str
    columns: Columns
    after_taking: AfterTaking
    batch_size: int
    poll_interval: float  # seconds
    channel: str | None
