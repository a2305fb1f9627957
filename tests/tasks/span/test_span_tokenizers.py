"""Units across tokenizers: what the design promises of them, on random Spanish text and every pair of tokenizers.

Teachers and students are random numbers here: the statements hold for any logits.
"""

from __future__ import annotations

import random
from itertools import product

import numpy as np
import pytest
import torch

from destila.losses import kl
from destila.losses.term import LossContext
from destila.tasks.span.options import SpanOptions
from destila.tasks.span.task import SpanTask
from destila.training.batches import collate
from destila.types import Example, Output

KINDS = ("wordpiece", "bpe", "unigram")
TEXTS = 1000
ODD = ("¿", "¡", "«a»", "—", "3,5", "12:30", "ñ" * 9, "e\u0301l", "🙂", "S.A.", "(x)")
BLANKS = (" ", " ", " ", "  ", "\n", "\t", "\u00a0")
LABELS = ("start", "end")
PAIRS = list(product(KINDS, KINDS))
UNITS, TOKENS = SpanTask(), SpanTask(SpanOptions(unit="token"))
KL = kl.build(kl.Options(temperature=1.0), LossContext()).fn


def questions(lines: list[str]) -> list[Example]:
    """Random texts of 3 to 40 words with odd blanks and signs, each with a short question."""
    words = [w for line in lines for w in line.split()] + list(ODD)
    draw = random.Random(0)
    found = []
    for i in range(TEXTS):
        context = "".join(
            draw.choice(words) + draw.choice(BLANKS) for _ in range(draw.randint(3, 40))
        )
        found.append(
            Example(
                str(i), " ".join(draw.choices(words, k=draw.randint(1, 4))), context, answers=()
            )
        )
    return found


@pytest.fixture(scope="module")
def read(request, lines):
    """(tokenizer, windows of the 1,000 texts) by the tokenizer's kind."""
    texts = questions(lines)
    tokenizers = {kind: request.getfixturevalue(kind) for kind in KINDS}
    return {
        kind: (t, list(UNITS.encode(texts, t, LABELS, max_length=64).features))
        for kind, t in tokenizers.items()
    }


def logits_of(features, seed: int) -> list[np.ndarray]:
    draw = np.random.default_rng(seed)
    return [draw.normal(size=(len(f.input_ids), 2), scale=3).astype(np.float32) for f in features]


def padded(values, batch) -> torch.Tensor:
    found = torch.zeros(*batch.input_ids.shape, 2)
    for i, value in enumerate(values):
        found[i, : len(value)] = torch.from_numpy(value)
    return found


def divergences(student: torch.Tensor, teacher: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """Kullback-Leibler divergence [B], the mean of start and end, in double precision."""
    shut = ~mask.unsqueeze(-1)
    log_q, log_p = (
        x.double().masked_fill(shut, -torch.inf).log_softmax(1) for x in (student, teacher)
    )
    return (log_p.exp() * (log_p - log_q).masked_fill(shut, 0)).sum(1).mean(1)


def both(task, features, tokenizer):
    """Divergence [B] between units and between tokens of two random models, and the term's two sums."""
    batch = collate(features, tokenizer.pad_id)
    one, two = (padded(logits_of(features, seed), batch) for seed in (1, 2))
    said, taught = task.signal(Output(one), batch), task.signal(Output(two), batch)
    tokens = batch.unit >= 0
    sums = float(KL(said.logits, taught.logits, said.mask, 1)), float(KL(one, two, tokens, 1))
    return (
        divergences(said.logits, taught.logits, said.mask),
        divergences(one, two, tokens),
        sums,
        said.mask,
        tokens,
    )


@pytest.mark.parametrize("kind", KINDS)
def test_units_diverge_no_more_than_their_tokens(read, kind):
    """Units diverge at most as much as the tokens of 1000 texts."""
    tokenizer, features = read[kind]
    units, tokens, sums, mask, real = both(UNITS, features, tokenizer)
    assert len({f.row for f in features}) == TEXTS
    assert bool((units <= tokens + 1e-6).all())
    single = mask.sum(1) == real.sum(1)  # every unit is one token
    assert not bool(single.all())
    assert torch.allclose(units[single], tokens[single], atol=1e-6)
    assert sums == pytest.approx((float(units.sum()), float(tokens.sum())), rel=1e-4)


@pytest.mark.parametrize("kind", KINDS)
def test_with_one_unit_per_token_units_diverge_as_tokens_do(read, lines, kind):
    tokenizer = read[kind][0]
    features = list(TOKENS.encode(questions(lines), tokenizer, LABELS, max_length=64).features)
    units, tokens, sums, mask, real = both(TOKENS, features, tokenizer)
    assert torch.equal(mask.sum(1), real.sum(1))
    assert torch.allclose(units, tokens, atol=1e-6)
    assert sums[0] == pytest.approx(sums[1], rel=1e-6)


@pytest.mark.parametrize(("teacher", "student"), PAIRS)
def test_a_teachers_row_is_a_distribution_over_units(read, teacher, student):
    """Nothing is renormalised away and units keep their probability."""
    said, features = read[teacher][1], read[student][1]
    rows = UNITS.unit_logits(said, logits_of(said, 3))
    for f in features:
        taught, (low, high) = UNITS.teacher_logits(rows[f.row], f), f.planned
        full, given = (
            np.exp(rows[f.row][low:high], dtype=np.float64),
            np.exp(taught, dtype=np.float64),
        )
        assert np.allclose(given.sum(0), full.sum(0), rtol=1e-5)
        assert np.allclose(given[1:], full[f.cells[1:] - low], rtol=1e-5)


def test_some_students_read_narrower_windows_than_planned(read):
    narrow = {
        kind: sum(len(f.cells) < f.planned[1] - f.planned[0] for f in read[kind][1])
        for kind in KINDS
    }
    assert all(0 < n < len(read[kind][1]) for kind, n in narrow.items())


@pytest.mark.parametrize(("teacher", "student"), PAIRS)
def test_a_student_that_agrees_on_units_costs_nothing(read, teacher, student):
    """A student that agrees on units costs nothing whatever its tokens."""
    said, (tokenizer, features) = read[teacher][1], read[student]
    rows = UNITS.unit_logits(said, logits_of(said, 4))
    batch = collate(
        features, tokenizer.pad_id, teacher=lambda f: UNITS.teacher_logits(rows[f.row], f)
    )
    values = []
    for f, shares in zip(features, logits_of(features, 5), strict=True):
        taught = UNITS.teacher_logits(rows[f.row], f)
        own = np.where((f.unit >= 0)[:, None], shares, -np.inf)
        mass = np.full((len(taught), 2), -np.inf)
        np.logaddexp.at(mass, f.unit[f.unit >= 0], own[f.unit >= 0])
        values.append(
            np.where((f.unit >= 0)[:, None], own - mass[f.unit] + taught[f.unit], 0).astype(
                np.float32
            )
        )
    agreed = UNITS.signal(Output(padded(values, batch)), batch)
    assert bool(batch.teacher.mask[:, 0].all())
    cost = divergences(agreed.logits, batch.teacher.logits, batch.teacher.mask)
    assert float(cost.abs().max()) < 1e-5
