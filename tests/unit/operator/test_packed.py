"""What is kept by the thousand takes the room of its text, and no more."""

import tracemalloc

import pytest

from fanout_operator.packed import pack, unpack

COUNT = 100
HEADER = 64  # bytes of any object that holds some, and its place in a list


@pytest.mark.parametrize("size", [10, 300, 5_000, 200_000])
def test_what_is_packed_takes_no_more_room_than_its_text(size: int) -> None:
    document = {"data": {"plan.json": "x" * size}}
    length = len(pack(document))
    tracemalloc.start()
    try:
        kept = [pack(document) for _ in range(COUNT)]
        held, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert unpack(kept[0]) == document
    assert held < COUNT * (length + HEADER)
