from __future__ import annotations

import gc
import time
from unittest.mock import Mock

import numpy as np
import pytest

from destila.errors import ConfigError
from destila.measuring import latency, machine


def here(**changes):
    plain = {
        "device": "cpu",
        "threads": 1,
        "batch": 1,
        "length": "x",
        "dtype": "float32",
        "backend": "none",
    }
    return machine.conditions(**{**plain, "warmup": 0, "repeats": 1, **changes})


def test_candidates_take_turns(monkeypatch):
    monkeypatch.setattr(latency, "BLOCK", 3)
    order = []
    calls = {
        name: [lambda name=name, i=i: order.append(f"{name}{i}") for i in range(2)] for name in "ab"
    }
    latency.time_paired(calls, warmup=1, repeats=2, settle=0)
    assert order == ["a0", "b0", "a0", "a1", "a0", "b0", "b1", "b0", "a1", "b1"]


def test_a_turn_begins_with_untimed_calls():
    """A first call that is slow, as the caches hold another model's weights, is not counted."""
    calls = {name: [Mock(side_effect=lambda: time.sleep(0.002))] for name in "ab"}
    latency.time_paired(calls, warmup=0, repeats=latency.BLOCK, settle=10.0)
    for [call] in calls.values():
        assert 1 <= call.call_count - latency.BLOCK <= 5


def test_times_have_a_row_per_repeat_and_a_column_per_call():
    times = latency.time_paired({"a": [int, int, int]}, warmup=0, repeats=2)
    assert times["a"].shape == (2, 3)
    assert (times["a"] >= 0).all()


def test_an_accelerator_is_waited_for_inside_the_timed_part():
    clock = iter([0.0, 5.0])
    waited = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(latency.time, "perf_counter", lambda: next(clock))
        milliseconds = latency._time(lambda: None, lambda: waited.append(1))
    assert (milliseconds, waited) == (5000.0, [1])


def test_garbage_collection_is_off_while_timing_and_on_again():
    seen = []
    calls = {"a": [lambda: seen.append(gc.isenabled())]}
    latency.time_paired(calls, warmup=0, repeats=1, settle=0)
    assert (seen, gc.isenabled()) == ([False], True)


@pytest.mark.parametrize("calls", [{}, {"a": []}, {"a": [int], "b": [int, int]}])
def test_unequal_or_empty_candidates_are_refused(calls):
    with pytest.raises(ConfigError, match="same number of calls"):
        latency.time_paired(calls, warmup=0, repeats=1)


def test_nothing_timed_is_refused():
    with pytest.raises(ConfigError, match="repeats = 0"):
        latency.time_paired({"a": [int]}, warmup=0, repeats=0)


def test_a_summary_is_per_example_and_over_all_calls():
    found = latency.summarise("real", np.arange(1.0, 101.0).reshape(4, 25), here(batch=2))
    assert found.median_ms == pytest.approx(25.25)
    assert found.p95_ms == pytest.approx(np.percentile(np.arange(1.0, 101.0), 95) / 2)


def test_speed_up_is_the_ratio_of_medians_inside_its_interval():
    generator = np.random.default_rng(0)
    slow = generator.normal(10, 1, (5, 40))
    ratio, low, high = latency.paired_speed_up(slow, slow / 4 + generator.normal(0, 0.05, (5, 40)))
    assert low < ratio < high
    assert ratio == pytest.approx(4, rel=0.05)
    assert high - low < 0.5


def test_equal_times_have_a_speed_up_of_one_without_spread():
    times = np.random.default_rng(0).uniform(1, 2, (2, 10))
    assert latency.paired_speed_up(times, times) == (1.0, 1.0, 1.0)


def test_times_that_are_not_paired_are_refused():
    with pytest.raises(ConfigError, match="time them together"):
        latency.paired_speed_up(np.ones((2, 3)), np.ones((3, 2)))


def test_threads_are_set_told_and_restored():
    state = {"threads": 8}
    with latency.using_threads(
        2, lambda: state["threads"], lambda n: state.update(threads=n)
    ) as used:
        assert used == 2
    assert state["threads"] == 8
