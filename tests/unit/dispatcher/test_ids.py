"""Ids of plain events: as many as are asked for, all different, each of full length."""

import re
import secrets

from fanout_dispatcher.values.correlation import PARENT_BYTES
from fanout_dispatcher.values.ids import POOL, Ids


def test_ids_are_thirty_two_digits_and_none_comes_twice() -> None:
    ids = Ids(secrets.token_bytes)

    made = [ids() for _ in range(5 * POOL + 1)]

    assert len(set(made)) == len(made)
    assert all(re.fullmatch("[0-9a-f]{32}", one) for one in made)


def test_every_random_byte_is_used_once() -> None:
    drawn: list[bytes] = []

    def random_bytes(size: int) -> bytes:
        drawn.append(bytes(at % 251 for at in range(len(drawn) * size, (len(drawn) + 1) * size)))
        return drawn[-1]

    ids = Ids(random_bytes)
    made = {ids() for _ in range(POOL)}

    assert len(drawn) == 1
    assert made == {drawn[0][at : at + 16].hex() for at in range(0, 16 * POOL, 16)}


def test_an_attempts_id_is_as_long_as_a_trace_wants_it() -> None:
    ids = Ids(secrets.token_bytes, size=PARENT_BYTES)

    made = [ids() for _ in range(POOL + 1)]

    assert len(set(made)) == POOL + 1
    assert all(re.fullmatch("[0-9a-f]{16}", one) for one in made)


def test_two_who_hand_out_ids_share_none() -> None:
    one, other = Ids(secrets.token_bytes), Ids(secrets.token_bytes)

    assert {one() for _ in range(1000)}.isdisjoint(other() for _ in range(1000))
