"""The seam: every change has a word, in the log and nowhere a payload."""

import typing

from fanout_dispatcher.telemetry import seam
from fanout_dispatcher.telemetry.logs import CIRCUIT, WORDS
from fanout_dispatcher.telemetry.seam import Change, JournalDegraded, Recorder, RouteRetired, Silent


def test_every_change_has_an_event_word() -> None:
    assert {*WORDS, seam.CircuitChanged} == set(typing.get_args(Change))


def test_words_say_what_and_what_happened() -> None:
    words = [word for word, _ in (*WORDS.values(), *CIRCUIT.values())]

    assert all(word.count(".") == 1 for word in words)
    assert len(set(words)) == len(words)


def test_a_recorder_keeps_changes_in_order_and_the_silent_one_nothing() -> None:
    recorder = Recorder()
    changes: list[Change] = [JournalDegraded(why="disk full"), RouteRetired(route="shop/order")]
    for change in changes:
        recorder.tell(change)
        Silent().tell(change)

    assert recorder.changes == changes
    assert repr(recorder) == "Recorder(2 changes)"
