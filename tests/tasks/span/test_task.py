"""Units of questions: probabilities of tokens added up, and what a narrower window does with the rest."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from destila.losses import hard, kl
from destila.losses.term import LossContext
from destila.tasks.span import task
from destila.training.batches import collate
from destila.types import ABSENT, IGNORE, Features, Output, Signal

TASK = task.TASK


def window(unit: list[int], target=(0, 0), *, cells=None, planned=None) -> Features:
    """A window whose tokens belong to the given units; one cell per unit, in order, unless told otherwise."""
    units = max(unit) + 1
    nothing = np.zeros(len(unit), np.int32)
    held = np.arange(units, dtype=np.int32) if cells is None else np.array(cells, np.int32)
    return Features(
        row=0,
        window=0,
        input_ids=nothing + 5,
        type_ids=nothing,
        spans=np.zeros((len(unit), 2), np.int32),
        unit=np.array(unit, np.int32),
        start=0,
        owned=np.ones(units, bool),
        target=np.array(target, np.int32),
        cells=held,
        planned=planned or (0, units),
    )


@pytest.fixture
def batch():
    """[CLS] q [SEP] a a b [SEP], and a shorter window in which unit 1 has no token: [CLS] q [SEP] c [SEP]."""
    return collate([window([0, -1, -1, 1, 1, 2, -1], (3, 4)), window([0, -1, -1, 2, -1])], 0)


def random(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def test_a_unit_adds_up_the_probabilities_of_its_tokens(batch):
    """The logit of a unit adds up the probabilities of its tokens."""
    logits = random(2, 7, 2)
    signal = TASK.signal(Output(logits), batch)
    for c in range(2):
        s = logits[0, :, c].tolist()
        expected = [s[0], math.log(math.exp(s[3]) + math.exp(s[4])), s[5]]
        assert signal.logits[0, :, c].tolist() == pytest.approx(expected, abs=1e-6)
    assert torch.allclose(signal.logits[1, [0, 2]], logits[1, [0, 3]])


def test_a_unit_without_a_token_is_masked_and_finite(batch):
    signal = TASK.signal(Output(random(2, 7, 2)), batch)
    assert signal.mask.tolist() == [[True, True, True], [True, False, True]]
    assert bool(torch.isfinite(signal.logits).all())


@pytest.mark.parametrize("size", [1e4, -1e4])
def test_large_logits_neither_overflow_nor_vanish(batch, size):
    signal = TASK.signal(Output(torch.full((2, 7, 2), size)), batch)
    assert signal.logits[0, 1].tolist() == pytest.approx([size + math.log(2)] * 2)


def test_half_precision_is_added_up_in_float32(batch):
    logits = random(2, 7, 2)
    half = TASK.signal(Output(logits.bfloat16()), batch).logits
    assert half.dtype == torch.float32
    assert torch.equal(half, TASK.signal(Output(logits.bfloat16().float()), batch).logits)


def test_the_gradient_of_a_unit_is_the_softmax_of_its_tokens(batch):
    logits = random(2, 7, 2).double().requires_grad_()
    TASK.signal(Output(logits), batch).logits[0, 1, 0].backward()
    expected = torch.zeros(2, 7, 2)
    expected[0, 3:5, 0] = torch.softmax(logits.detach()[0, 3:5, 0], 0).float()
    assert torch.allclose(logits.grad.float(), expected, atol=1e-6)


def test_questions_and_separators_get_no_gradient(batch):
    """Questions and separators get no gradient and nothing is NaN."""
    logits = random(2, 7, 2).requires_grad_()
    TASK.signal(Output(logits), batch).logits.sum().backward()
    outside = batch.unit < 0
    assert not logits.grad[outside].any()
    assert bool((logits.grad[~outside] > 0).all())


def test_gold_answers_meet_the_tokens_of_the_context(batch):
    """Gold answers meet the tokens of the context and the first."""
    logits = random(2, 7, 2)
    said = TASK.supervised(Output(logits), batch)
    assert said.logits is logits
    assert said.mask.tolist() == [
        [True, False, False, True, True, True, False],
        [True] + [False] * 2 + [True] + [False] * 3,
    ]
    assert TASK.targets(batch).tolist() == [[3, 4], [0, 0]]
    loss = hard.build(hard.Options(), LossContext()).fn(
        said.logits, TASK.targets(batch), said.mask, 1
    )
    expected = 0.0
    for b, kept, gold in ((0, [0, 3, 4, 5], (3, 4)), (1, [0, 3], (0, 0))):
        for c in range(2):
            row = torch.log_softmax(logits[b, kept, c], 0)
            expected -= float(row[kept.index(gold[c])]) / 2
    assert float(loss) == pytest.approx(expected, rel=1e-5)


def test_an_unlabelled_question_costs_nothing():
    batch = collate([window([0, -1, 1], (IGNORE, IGNORE))], 0)
    said = TASK.supervised(Output(random(1, 3, 2)), batch)
    assert (
        float(
            hard.build(hard.Options(), LossContext()).fn(
                said.logits, TASK.targets(batch), said.mask, 1
            )
        )
        == 0
    )


# what a teacher says of a window


def test_a_whole_planned_window_is_taught_as_it_is():
    row = np.random.default_rng(0).normal(size=(9, 2)).astype(np.float16)
    f = window([0, 1, 2, 3], cells=[4, 5, 6, 7], planned=(4, 8))
    assert np.array_equal(TASK.teacher_logits(row, f), row[4:8].astype(np.float32))


@pytest.mark.parametrize("cells", [[4, 5, 6], [4, 7, 8], [4, 6, 7], [4]])
def test_mass_outside_a_narrower_window_goes_to_no_answer(cells):
    """Mass outside a narrower window goes to no answer and nothing is renormalised."""
    row = np.random.default_rng(1).normal(size=(12, 2)).astype(np.float32)
    said = TASK.teacher_logits(row, window(list(range(len(cells))), cells=cells, planned=(4, 9)))
    whole = np.exp(row[4:9]) / np.exp(row[4:9]).sum(0)
    inside = [c - 4 for c in cells[1:]]
    found = np.exp(said) / np.exp(said).sum(0)
    assert found[1:] == pytest.approx(whole[inside])
    assert found[0] == pytest.approx(1 - whole[inside].sum(0))


def test_the_cached_row_is_not_written_to():
    row = np.zeros((3, 2), np.float32)
    row.flags.writeable = False
    assert TASK.teacher_logits(row, window([0, 1], cells=[0, 1], planned=(0, 3)))[
        0
    ] == pytest.approx([math.log(2)] * 2)


def test_a_unit_the_teacher_does_not_hold_is_masked():
    """A unit the teacher does not hold is masked in the batch."""
    f = window([0, -1, 1, 2])
    row = np.array([[0, 0], [ABSENT, ABSENT], [1, 2]], np.float16)
    batch = collate([f], 0, teacher=lambda f: TASK.teacher_logits(row, f))
    assert batch.teacher.mask.tolist() == [[True, False, True]]


# units against tokens


def divergence(student: torch.Tensor, teacher: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    return kl.build(kl.Options(temperature=1.0), LossContext()).fn(student, teacher, mask, 1)


@pytest.mark.parametrize("seed", range(20))
def test_units_diverge_at_most_as_much_as_tokens(batch, seed):
    student, teacher = 3 * random(2, 7, 2, seed=seed), 3 * random(2, 7, 2, seed=seed + 100)
    units = [TASK.signal(Output(x), batch) for x in (student, teacher)]
    tokens = divergence(student, teacher, batch.unit >= 0)
    assert (
        float(divergence(units[0].logits, units[1].logits, units[0].mask)) <= float(tokens) + 1e-6
    )


@pytest.mark.parametrize("seed", range(5))
def test_one_token_per_unit_diverges_as_the_tokens_do(seed):
    batch = collate([window([0, -1, -1, 1, 2, 3, -1]), window([0, -1, -1, 1, -1])], 0)
    student, teacher = random(2, 7, 2, seed=seed), random(2, 7, 2, seed=seed + 100)
    units = [TASK.signal(Output(x), batch) for x in (student, teacher)]
    found = divergence(units[0].logits, units[1].logits, units[0].mask)
    assert float(found) == pytest.approx(
        float(divergence(student, teacher, batch.unit >= 0)), abs=1e-6
    )


def test_tokens_inside_units_that_agree_cost_nothing(batch):
    """Tokens that differ inside units that agree cost nothing."""
    student = random(2, 7, 2)
    moved = student.clone()
    total = torch.logsumexp(student[0, 3:5], 0)
    moved[0, 3] = total + math.log(0.9)
    moved[0, 4] = total + math.log(0.1)
    units = [TASK.signal(Output(x), batch) for x in (student, moved)]
    assert float(divergence(units[0].logits, units[1].logits, units[0].mask)) == pytest.approx(
        0, abs=1e-6
    )
    assert float(divergence(student, moved, batch.unit >= 0)) > 0.01


def test_a_batch_distils_only_into_the_student(batch):
    student = random(2, 7, 2).requires_grad_()
    teacher = Signal(random(2, 3, 2, seed=3), batch.unit_mask)
    taught = replace(batch, teacher=teacher)
    said = TASK.signal(Output(student), taught)
    divergence(said.logits, taught.teacher.logits, said.mask).backward()
    assert student.grad.abs().sum() > 0
