"""Workers: every text answered, requests in turns, nothing lost at the end."""

from __future__ import annotations

import threading

import pytest

from destila.errors import DataError, ModelError
from destila.serve.pool import QueueFullError, WorkerPool


def test_a_short_request_does_not_wait_for_a_long_one(pool):
    """With one worker, a text that comes late is the second to be answered, not the last."""
    workers = pool("classify", capacity=1000)
    order: list[str] = []
    started = threading.Event()

    long = workers.submit("classify", ["una frase bastante larga " * 10] * 50)
    for i, job in enumerate(long):
        job.answer.add_done_callback(lambda _, i=i: (order.append(f"long {i}"), started.set()))
    started.wait(10)
    short = workers.submit("classify", ["hola"])[0]
    short.answer.add_done_callback(lambda _: order.append("short"))
    short.answer.result(10)
    at_short = len(order)
    [job.answer.result(30) for job in long]
    assert at_short < 40, order


def test_a_faulty_text_costs_no_other(pool):
    workers = pool("classify")
    good, bad, last = workers.submit("classify", ["hola", {"text": 3}, "adiós"])
    assert good.answer.result(10)["text"] == "hola"
    with pytest.raises(DataError, match="text 2"):
        bad.answer.result(10)
    assert last.answer.result(10)["id"] == "2"


def test_closing_answers_what_was_taken(pool):
    workers = pool("tag", workers=2, capacity=1000)
    jobs = workers.submit("tag", ["Ana vive en Soria"] * 200)
    workers.close()
    assert all(job.answer.done() for job in jobs)
    with pytest.raises(QueueFullError):
        workers.submit("tag", ["tarde"])


def test_a_cancelled_text_is_not_labelled(pool):
    workers = pool("tag", capacity=1000)
    jobs = workers.submit("tag", ["una frase " * 20] * 100)
    cancelled = [job for job in jobs[50:] if job.answer.cancel()]
    workers.close()
    assert cancelled
    assert all(job.answer.cancelled() for job in cancelled)


def test_a_full_queue_takes_nothing(pool):
    workers = pool("tag", capacity=2)
    with pytest.raises(QueueFullError, match="at most 2"):
        workers.submit("tag", ["a", "b", "c"])
    assert workers.waiting == 0


def test_a_folder_with_weights_is_refused(exported):
    folder = exported("tag").parent / "torch"
    with pytest.raises(ModelError, match="destila export"):
        WorkerPool({"tag": folder}, workers=1, capacity=1)
