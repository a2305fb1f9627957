"""What else a machine did while something was timed."""

from __future__ import annotations

from dataclasses import replace

import pytest

from destila.measuring.load import timing_doubt, watched_load
from destila.records import Latency
from tests.fixtures.toy_records import toy_record


def test_others_are_what_all_worked_without_this_process(tmp_path):
    """A machine that tells nothing gives None; one that works gives processors."""
    with watched_load(tmp_path) as facts:
        pass
    assert facts["others"] is None
    assert facts["processors"] >= 1

    (tmp_path / "proc").mkdir()
    stat = tmp_path / "proc" / "stat"
    stat.write_text("cpu 100 0 100 5000 10 0 0 0 0 0\n")
    with watched_load(tmp_path) as facts:
        stat.write_text("cpu 100000 0 100 6000 10 0 0 0 0 0\n")
    assert facts["others"] > 1


@pytest.mark.parametrize(
    ("others", "threads", "p95", "doubt"),
    [
        (1.0, 1, 2.0, ""),
        (1.6, 1, 2.0, "timed while other programs kept 1.6 of 2 processors busy, beside its own 1"),
        (0.1, 2, 2.0, ""),
        (0.6, 2, 2.0, "timed while other programs kept 0.6 of 2 processors busy, beside its own 2"),
        (None, 2, 4.9, ""),
        (0.0, 1, 5.1, "its 95th percentile is 5.1 ms beside a median of 1 ms"),
    ],
)
def test_a_time_is_doubtful_under_load_or_with_far_calls(others, threads, p95, doubt):
    """Where others want the same processors, or single calls took many times the median."""
    made = toy_record("distilled", 1)
    conditions = replace(made.conditions, threads=threads)
    record = replace(
        made,
        latency=[Latency("real", 1.0, p95, conditions)],
        details={"timing": {"others": others, "processors": 2}},
    )
    assert timing_doubt(record) == doubt
    assert timing_doubt(replace(record, latency=[])) == ""
