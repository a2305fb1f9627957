"""Who is next: short texts before long ones, but none for ever."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from destila.serve.turns import LONG, Order, Turns, characters


def test_requests_take_turns():
    turns = Turns()
    for name, count in (("a", 3), ("b", 1), ("c", 2)):
        turns.add(Order(name, ["hola"] * count, 0))
    assert _taken(turns) == ["a0", "b0", "c0", "a1", "c1", "a2"]


def test_all_short_texts_go_before_the_next_long_one():
    """Those that come while a long one is in work too; then the next long one goes."""
    turns = Turns()
    turns.add(Order("long", ["a" * LONG] * 3, 0))
    assert _taken(turns, 1) == ["long0"]
    turns.add(Order("x", ["a", "a"], 0))
    assert _taken(turns, 1) == ["x0"]
    turns.add(Order("y", ["a"], 0))
    assert _taken(turns) == ["x1", "long1", "y0", "long2"]


@given(st.lists(st.one_of(st.none(), st.lists(st.booleans(), min_size=1, max_size=4))))
def test_no_text_waits_for_two_long_ones_nor_is_lost(steps):
    """Steps are requests (True: a long text) or None: a worker asks for the next text.

    A text of a list begins to wait when the one before it is taken.
    """
    turns, waiting, number = Turns(), {}, 0
    for step in [*steps, *[None] * 200]:
        if step is not None:
            turns.add(Order(str(number), ["a" * LONG if long else "a" for long in step], 0))
            for place, long in enumerate(step):
                waiting[(str(number), place)] = [long, 0]
            number += 1
            continue
        assert len(turns) == len(waiting)
        if not waiting:
            continue
        [(order, place)] = turns.take()
        long, overtaken = waiting.pop((order.model, place))
        assert long or overtaken <= 1
        for (name, place), entry in waiting.items():
            entry[1] += long and (name, place - 1) not in waiting
    assert not waiting


def test_long_texts_go_on_beside_endless_short_ones():
    turns = Turns()
    turns.add(Order("long", ["a" * LONG] * 3, 0))
    seen = []
    for i in range(40):
        turns.add(Order(f"short{i}", ["a"], 0))
        seen += _taken(turns, 1)
    assert sum(name.startswith("long") for name in seen) == 3


def test_a_request_that_is_dropped_is_not_taken():
    turns = Turns()
    orders = [Order(name, ["a", "b" * LONG], 0) for name in "xyz"]
    for order in orders:
        turns.add(order)
    turns.drop(orders[1])
    assert len(turns) == 4
    assert sorted(_taken(turns)) == ["x0", "x1", "z0", "z1"]


def test_short_texts_for_one_model_are_taken_together():
    """As many as make one long text, and no more than are asked for."""
    turns = Turns()
    turns.add(Order("a", ["x" * (LONG // 3)] * 4, 0))
    turns.add(Order("b", ["y"], 0))
    assert [place for _, place in turns.take(9)] == [0]
    assert [order.model for order, _ in turns.take(9)] == ["b"]
    assert [place for _, place in turns.take(2)] == [1, 2]
    assert [place for _, place in turns.take(9)] == [3]
    assert not turns


def test_all_parts_of_a_text_count():
    assert characters("ñandú") == 5
    assert characters({"text": "ab", "pair": "c", "id": 7}) == 3
    assert characters({"words": ["ab", "c"]}) == 3


def _taken(turns, count=None):
    taken = []
    while turns and count != len(taken):
        [(order, place)] = turns.take()
        taken.append(f"{order.model}{place}")
    return taken
