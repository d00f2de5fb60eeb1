"""Who has which path."""

from fanout_operator.claims import Claims, Holder

FIRST, SECOND = Holder("shop/first", "u1"), Holder("shop/second", "u2")


def test_the_first_to_take_a_path_keeps_it() -> None:
    claims = Claims()

    assert claims.take("/shop/x", FIRST) == FIRST
    assert claims.take("/shop/x", SECOND) == FIRST
    assert claims.take("/shop/x", FIRST) == FIRST


def test_who_waits_is_told_when_the_path_is_free() -> None:
    claims = Claims()
    claims.take("/shop/x", FIRST)
    claims.take("/shop/x", SECOND)

    assert claims.keep("shop/first", frozenset({"/shop/y"})) == {"shop/second"}
    assert claims.take("/shop/x", SECOND) == SECOND


def test_who_no_longer_wants_a_path_is_not_told() -> None:
    claims = Claims()
    claims.take("/shop/x", FIRST)
    claims.take("/shop/x", SECOND)
    claims.keep("shop/second", frozenset())

    assert claims.keep("shop/first", frozenset()) == frozenset()


def test_who_still_waits_keeps_waiting() -> None:
    claims = Claims()
    claims.take("/shop/x", FIRST)
    claims.take("/shop/x", SECOND)
    claims.keep("shop/second", frozenset({"/shop/x"}))

    assert claims.keep("shop/first", frozenset()) == {"shop/second"}


def test_a_route_made_again_takes_over_from_its_namesake() -> None:
    claims = Claims()
    claims.take("/shop/x", FIRST)
    again = Holder("shop/first", "u9")

    assert claims.take("/shop/x", again) == again


def test_a_route_on_the_move_holds_both_paths_until_the_new_plan_is_there() -> None:
    claims = Claims()
    claims.take("/shop/x", FIRST)
    claims.take("/shop/y", FIRST)

    assert claims.take("/shop/x", SECOND) == FIRST
    assert claims.keep("shop/first", frozenset({"/shop/y"})) == {"shop/second"}


def test_who_was_told_of_a_free_path_and_does_not_want_it_holds_nothing_up() -> None:
    claims = Claims()
    claims.take("/shop/x", FIRST)
    claims.take("/shop/x", SECOND)
    claims.keep("shop/first", frozenset())

    assert claims.keep("shop/second", frozenset()) == frozenset()
    assert claims.take("/shop/x", FIRST) == FIRST
