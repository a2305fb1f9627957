"""Workers: every text answered, requests in turns, nothing lost at the end."""

from __future__ import annotations

import threading

import pytest

from destila.errors import DataError, ModelError
from destila.serve.pool import QueueFullError, StoppingError, WorkerError, WorkerPool


def test_a_short_request_does_not_wait_for_a_long_one(pool):
    """With one worker, a text that comes late is the second to be answered, not the last."""
    workers = pool("classify", capacity=1000)
    long = workers.submit("classify", ["una frase bastante larga " * 10] * 200)
    short = workers.submit("classify", ["hola"])
    short.done.result(10)
    assert long.left > 150
    assert len(long.done.result(60)) == 200


def test_a_text_waits_for_one_long_text_at_most(pool):
    """However many long texts were there before it, from however many requests."""
    workers = pool("classify", capacity=1000)
    before, counted = [], threading.Event()
    with workers._changed:  # all are there before the first is taken
        long = [workers.submit("classify", ["palabra " * 2000]) for _ in range(12)]
        short = workers.submit("classify", ["hola"])

        # Counted by the thread that answers: this one may wake up late.
        short.done.add_done_callback(lambda _: before.append(sum(e.done.done() for e in long)))
        short.done.add_done_callback(lambda _: counted.set())
    assert counted.wait(60)
    assert before[0] <= 2
    assert all(each.done.result(60) for each in long)


def test_a_faulty_text_costs_no_other_request(pool):
    workers = pool("classify")
    orders = [workers.submit("classify", [item]) for item in ("hola", {"text": 3}, "adiós")]
    assert orders[0].done.result(10)[0]["text"] == "hola"
    with pytest.raises(DataError, match="text 1"):
        orders[1].done.result(10)
    assert orders[2].done.result(10)[0]["id"] == "0"
    with pytest.raises(DataError, match="text 2"):
        workers.submit("classify", ["hola", {"text": 3}, "adiós"]).done.result(10)
    assert workers.waiting == 0


def test_answers_are_numbered_within_their_request(pool):
    """Also where texts of several requests are labelled in one call."""
    workers = pool("classify")
    orders = [workers.submit("classify", ["hola", {"id": "x", "text": "a"}, "b"]) for _ in range(9)]
    ids = [[answer["id"] for answer in order.done.result(10)] for order in orders]
    assert ids == [["0", "x", "2"]] * 9


def test_a_failure_of_ours_ends_no_worker(pool, monkeypatch):
    workers = pool("classify")
    with monkeypatch.context() as patched:
        patched.setattr("destila.serve.pool.Labeller.answers", lambda *_, **__: 1 // 0)
        with pytest.raises(WorkerError, match="ZeroDivisionError"):
            workers.submit("classify", ["hola"]).done.result(10)
    assert workers.submit("classify", ["hola"]).done.result(10)
    assert workers.ready


def test_closing_answers_what_was_taken(pool):
    workers = pool("tag", workers=2, capacity=1000)
    order = workers.submit("tag", ["Ana vive en Soria"] * 200)
    workers.close()
    assert len(order.done.result(0)) == 200
    assert not workers.ready
    with pytest.raises(StoppingError):
        workers.submit("tag", ["tarde"])


def test_what_is_given_up_is_not_labelled(pool):
    workers = pool("tag", capacity=1000)
    order = workers.submit("tag", ["una frase " * 20] * 500)
    workers.give_up(order)
    assert workers.waiting == 0
    workers.close()
    assert order.left > 400
    assert not order.done.done()


def test_a_full_queue_takes_nothing(pool):
    workers = pool("tag", capacity=2)
    with pytest.raises(QueueFullError, match="at most 2"):
        workers.submit("tag", ["a", "b", "c"])
    assert workers.waiting == 0


def test_a_folder_with_weights_is_refused(exported):
    folder = exported("tag").parent / "torch"
    with pytest.raises(ModelError, match="destila export"):
        WorkerPool({"tag": folder}, workers=1, capacity=1)
