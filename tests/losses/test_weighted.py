"""The weighted sum of terms: by global counts, logged by name, checked before anything is trained."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from destila.errors import ConfigError
from destila.losses.weighted import build_loss
from destila.tasks import tag
from destila.training.batches import collate
from destila.types import IGNORE, Features, Output


def window(target: list[int], owned: list[bool], row: int) -> Features:
    n = len(target)
    unit, nothing = np.arange(-1, n, dtype=np.int32), np.zeros(n + 1, np.int32)
    spans = np.zeros((n + 1, 2), np.int32)
    return Features(
        row=row,
        window=0,
        input_ids=nothing,
        type_ids=nothing,
        spans=spans,
        unit=unit,
        start=0,
        owned=np.array(owned),
        target=np.array(target, np.int32),
    )


WINDOWS = [window([0, 1, IGNORE], [True, True, False], 0), window([2, IGNORE], [True, True], 1)]
ROWS = [np.random.default_rng(i).normal(size=(n, 3)) for i, n in enumerate((3, 2))]


def teach(f: Features) -> np.ndarray:
    return tag.TASK.teacher_logits(ROWS[f.row], f)


BOTH = [{"use": "hard", "weight": 0.25}, {"use": "kl", "weight": 2.0}]


def said(batch, seed=0) -> Output:
    return Output(
        torch.randn(*batch.input_ids.shape, 3, generator=torch.Generator().manual_seed(seed))
    )


def test_counts_are_of_labelled_or_owned_units():
    """Counts are labelled units for gold and owned units for a teacher."""
    batch = collate(WINDOWS, 0, teacher=teach)
    assert build_loss(BOTH).counts(tag.TASK, batch) == [3, 4]
    assert build_loss(BOTH).counts(tag.TagTask(every_piece=True), batch) == [3, 4]


def test_the_loss_is_the_weighted_sum_of_means():
    batch = collate(WINDOWS, 0, teacher=teach)
    loss = build_loss(BOTH)
    total, parts = loss(tag.TASK, said(batch), batch, loss.counts(tag.TASK, batch))
    assert set(parts) == {"hard", "kl"}
    assert total.item() == pytest.approx(0.25 * parts["hard"].item() + 2 * parts["kl"].item())
    units = tag.TASK.signal(said(batch), batch)
    gold = torch.nn.functional.cross_entropy(
        units.logits[batch.target != IGNORE], batch.target[batch.target != IGNORE]
    )
    assert parts["hard"].item() == pytest.approx(gold.item(), rel=1e-5)


def test_shares_of_two_batches_add_up_to_the_loss_of_both():
    loss = build_loss(BOTH)
    batch = collate(WINDOWS, 0, teacher=teach)
    counts = loss.counts(tag.TASK, batch)
    output = said(batch)
    whole, _ = loss(tag.TASK, output, batch, counts)
    shares = []
    for i, f in enumerate(WINDOWS):
        one = collate([f], 0, teacher=teach)
        part = Output(output.logits[i : i + 1, : one.input_ids.shape[1]])
        shares.append(loss(tag.TASK, part, one, counts)[0].item())
    assert sum(shares) == pytest.approx(whole.item(), rel=1e-5)


def test_nothing_to_count_is_a_loss_of_zero_with_a_gradient():
    batch = collate([window([IGNORE], [False], 0)], 0, teacher=teach)
    logits = said(batch).logits.requires_grad_()
    total, _ = build_loss(BOTH)(tag.TASK, Output(logits), batch, [0, 0])
    total.backward()
    assert total.item() == 0.0
    assert logits.grad.abs().max().item() == 0.0


def test_terms_of_one_name_are_logged_apart():
    batch = collate(WINDOWS, 0, teacher=teach)
    loss = build_loss([{"use": "kl"}, {"use": "kl", "temperature": 3.0}])
    assert len(loss(tag.TASK, said(batch), batch, [4, 4])[1]) == 2


def test_class_counts_reach_the_terms_that_weigh_classes():
    batch = collate(WINDOWS, 0)
    spec = [{"use": "hard", "class_weights": "balanced"}]
    rare, common = (
        build_loss(spec, class_counts=c)(tag.TASK, said(batch), batch, [3])[0]
        for c in ([1, 1, 8], [8, 1, 1])
    )
    assert rare.item() != common.item()


@pytest.mark.parametrize(
    ("specs", "said"),
    [
        ([], "no terms"),
        ([{"weight": 1.0}], "needs `use`"),
        ([{"use": "kll"}], "Did you mean 'kl'"),
        (
            [{"use": "kl", "temprature": 2.0}],
            "term 'kl': unknown key 'temprature'. Did you mean 'temperature'",
        ),
        ([{"use": "kl", "weight": "mucho"}], "weight = 'mucho' must be a number above 0"),
        ([{"use": "kl", "weight": -1}], "weight = -1 must be"),
        ([{"use": "kl", "weight": float("nan")}], "weight = nan must be"),
    ],
)
def test_a_wrong_table_is_refused(specs, said):
    with pytest.raises(ConfigError) as caught:
        build_loss(specs)
    assert said in str(caught.value)


def test_a_loss_knows_whether_it_needs_a_teacher():
    assert not build_loss([{"use": "hard"}]).needs_teacher
    assert build_loss(BOTH).needs_teacher
    batch = collate(WINDOWS, 0)
    with pytest.raises(ConfigError, match="needs a teacher and there is none"):
        build_loss(BOTH)(tag.TASK, said(batch), batch, [1, 1])
