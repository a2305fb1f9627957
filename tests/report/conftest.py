"""Records made by hand: a factory of Record with every field filled."""

from __future__ import annotations

import pytest

from destila.records import Conditions, Latency, Record


def conditions(**changes):
    plain = {
        "device": "cpu",
        "cpu": "toy processor",
        "instructions": "avx2",
        "threads": 2,
        "batch": 1,
        "length": "max 128",
        "dtype": "float32",
        "backend": "torch",
        "versions": {"python": "3.11"},
        "warmup": 10,
        "repeats": 100,
    }
    return Conditions(**{**plain, **changes})


def latency(milliseconds, protocol="real", **changes):
    return Latency(protocol, milliseconds, 2 * milliseconds, conditions(**changes))


def record(role="distilled", model="tiny", seed=0, right=6, total=10, **changes):
    """A classifier's record with `right` of `total` test examples right (the first ones)."""
    plain = {
        "key": f"{role}-{model}-{seed}",
        "study": "toy",
        "run": f"{role}-{model}-{seed}",
        "role": role,
        "model": model,
        "task": "classify",
        "dataset": "toy",
        "split": "test",
        "main": "accuracy",
        "scores": {"accuracy": right / total, "macro_f1": 0.5},
        "params": 1000,
        "size_bytes": 4000,
        "macs": {"linear_512": 2_000_000_000, "total_512": 2_500_000_000},
        "latency": (latency(4.0),),
        "peak_memory_bytes": 300_000_000,
        "seed": seed,
        "seconds": 1.0,
        "conditions": conditions(),
        "config": {},
        "code": "abc",
        "items": tuple((int(i < right), 1) for i in range(total)),
    }
    return Record(**{**plain, **changes})


@pytest.fixture(name="record")
def record_fixture():
    return record


@pytest.fixture(name="latency")
def latency_fixture():
    return latency


@pytest.fixture(name="conditions")
def conditions_fixture():
    return conditions
