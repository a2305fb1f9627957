"""Keys: equal fields, equal digest, and nothing else."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace

import pytest

from destila.study.planning import keys
from destila.study.planning.keys import BaselineKey, EvaluationKey, Key, RunKey

RUN = RunKey(data="d", model={"model": "m"}, options={"lr": 1e-3}, seed=0, terms=({"use": "kl"},))


def test_a_digest_is_that_of_the_fields():
    """Two keys of equal fields are one, whatever kind of sequence or mapping holds them."""
    same = RunKey(
        data="d", model={"model": "m"}, options={"lr": 0.001}, seed=0, terms=[{"use": "kl"}]
    )
    assert RUN.digest == same.digest
    assert len(RUN.digest) == 16


@pytest.mark.parametrize("field", [f.name for f in fields(RunKey)])
def test_every_field_of_a_run_counts(field):
    """Another value of any field is another key."""
    value = getattr(RUN, field)
    other = False if value is True else {"a": 1} if isinstance(value, dict) else "x"
    assert replace(RUN, **{field: other}).digest != RUN.digest


def test_a_new_field_at_its_default_keeps_old_keys():
    """Results that were recorded before a field was added are still known."""

    @dataclass(frozen=True, slots=True, kw_only=True)
    class BaselineKey(Key):
        data: str
        model: str
        folds: int = 1

    old = keys.BaselineKey(data="d", model="crf")
    assert BaselineKey(data="d", model="crf").digest == old.digest
    assert BaselineKey(data="d", model="crf", folds=2).digest != old.digest


def test_keys_of_two_kinds_are_two():
    """The kind of a key is part of its digest."""
    one = BaselineKey(data="d", model="m").digest
    assert one != EvaluationKey(data="d", weights="m", split="").digest
