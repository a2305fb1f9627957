"""What is chosen and what becomes of it: shares, whole words, spans, and that a row is corrupted alike everywhere."""

from __future__ import annotations

import re

import numpy as np
import pytest

from destila import config
from destila.errors import ConfigError
from destila.pretraining.data.masking import Corruption, Masking, corrupt, piece_weights
from destila.pretraining.data.packing import FrameIds, PackedRows, Packing, flatten, pack
from destila.tokenizer.tokenizer import Tokenizer
from destila.tokenizer.word_marks import WordMarks, read_word_marks

RUN = re.compile(r"[^\W_]+")
SHORT = Packing(length=64)


def packed(tokenizer: Tokenizer, lines: list[str], copies: int) -> tuple[PackedRows, np.ndarray]:
    """Rows of the lines in many orders, and the number of the run of letters each token is of, -1 for none.

    The numbers come from the text, not from the pieces; both are packed alike because only lengths
    decide.
    """
    found = []
    for line, pieces in zip(lines, tokenizer.text(lines), strict=True):
        runs = np.full(len(line) + 1, -1)
        for number, match in enumerate(RUN.finditer(line)):
            runs[slice(*match.span())] = number
        found.append((pieces.ids, runs[pieces.spans[:, 0]]))
    random = np.random.default_rng(1)
    documents = [[found[i] for i in random.permutation(len(found))] for _ in range(copies)]
    number = 0
    for document in documents:
        for i, (ids, runs) in enumerate(document):
            document[i] = (ids, np.where(runs < 0, -1, runs + number))
            number += len(ids)
    frame = FrameIds(tokenizer.cls_id, tokenizer.sep_id, tokenizer.pad_id)
    ids = pack(flatten([i for i, _ in d] for d in documents), frame, SHORT, key=(7,))
    runs = pack(
        flatten([r for _, r in d] for d in documents), FrameIds(-1, -1, -1), SHORT, key=(7,)
    )
    return ids, runs.input_ids


def masked(
    rows: PackedRows, known: WordMarks, seed: int = 3, epoch: int = 0, **options
) -> Corruption:
    return corrupt(
        rows.input_ids, np.arange(len(rows.pair)), known, Masking(**options), seed=seed, epoch=epoch
    )


def broken(runs: np.ndarray, rows: PackedRows, chosen: np.ndarray) -> int:
    """Runs of letters, as far as they lie in one half of a pair, that are chosen in part."""
    row, place = np.nonzero(runs >= 0)
    names = np.stack(
        [row, rows.pair[row, place], rows.type_ids[row, place], runs[row, place]], axis=1
    )
    _, which = np.unique(names, axis=0, return_inverse=True)
    hit, size = np.bincount(which.ravel(), weights=chosen[row, place]), np.bincount(which.ravel())
    assert (size > 1).sum() > 100
    return int(((hit > 0) & (hit < size)).sum())


@pytest.fixture(scope="module")
def sample(bpe, lines) -> tuple[PackedRows, WordMarks]:
    return packed(bpe, lines, 400)[0], read_word_marks(bpe)


def text(rows: PackedRows, known: WordMarks) -> np.ndarray:
    return ~known.special[rows.input_ids] & (rows.input_ids != known.unk_id)


def test_words_are_chosen_whole_in_every_kind_of_vocabulary(tokenizer, lines):
    rows, runs = packed(tokenizer, lines, 20)
    assert broken(runs, rows, masked(rows, read_word_marks(tokenizer)).chosen) == 0


def test_the_published_rule_breaks_accented_words(bpe, lines):
    rows, runs = packed(bpe, lines, 20)
    assert broken(runs, rows, masked(rows, read_word_marks(bpe, "published")).chosen) > 50


@pytest.mark.parametrize("rate", [0.15, 0.4])
def test_the_chosen_share_is_the_rate(sample, rate):
    rows, known = sample
    chosen = masked(rows, known, rate=rate).chosen
    assert chosen.sum() / text(rows, known).sum() == pytest.approx(rate, abs=0.002)


def test_special_and_unknown_tokens_are_never_chosen(sample):
    rows, known = sample
    ids = rows.input_ids.copy()
    ids[:, 10] = known.unk_id
    chosen = corrupt(ids, np.arange(len(ids)), known, Masking(rate=0.5), seed=0, epoch=0).chosen
    assert not chosen[known.special[ids] | (ids == known.unk_id)].any()


def test_chosen_tokens_are_replaced_in_their_shares(sample):
    """The chosen are masked exchanged or kept in their shares."""
    rows, known = sample
    found = masked(rows, known)
    was, now = rows.input_ids[found.chosen], found.input_ids[found.chosen]
    assert (now == known.mask_id).mean() == pytest.approx(0.8, abs=0.01)
    same = 0.1 + 0.1 / len(known.ordinary)
    assert (now == was).mean() == pytest.approx(same, abs=0.01)
    assert np.array_equal(found.input_ids[~found.chosen], rows.input_ids[~found.chosen])


def test_random_pieces_are_ordinary_and_any_of_them(sample):
    rows, known = sample
    found = masked(rows, known, mask=0.0, random=1.0)
    drawn = found.input_ids[found.chosen]
    assert set(drawn.tolist()) == set(known.ordinary.tolist())


def test_lengths_of_spans_are_drawn_as_one_over_n(sample):
    rows, known = sample
    found = masked(rows, known)
    assert found.sampled / found.sampled.sum() == pytest.approx([6 / 11, 3 / 11, 2 / 11], abs=0.01)
    assert found.realised[0] / found.realised.sum() > 6 / 11
    assert found.realised[2] > 0


def test_without_n_grams_and_words_every_token_is_a_span(sample, bpe):
    rows, _ = sample
    found = masked(rows, read_word_marks(bpe, "piece"), ngram=1)
    assert found.realised.tolist() == [found.chosen.sum()]


def test_the_cap_stops_a_row(sample):
    rows, known = sample
    assert masked(rows, known, rate=0.5, cap=5).chosen.sum(axis=1).max() == 5


def test_no_row_exceeds_its_budget(sample):
    rows, known = sample
    tokens = text(rows, known).sum(axis=1)
    assert (masked(rows, known).chosen.sum(axis=1) <= np.ceil(0.15 * tokens)).all()


def test_a_row_is_corrupted_alike_in_any_batch(sample):
    rows, known = sample
    whole = masked(rows, known)
    some = np.array([5, 2, 90])
    part = corrupt(rows.input_ids[some], some, known, Masking(), seed=3, epoch=0)
    assert np.array_equal(part.input_ids, whole.input_ids[some])
    assert np.array_equal(part.chosen, whole.chosen[some])


@pytest.mark.parametrize("other", [{"seed": 4}, {"epoch": 1}])
def test_seed_and_epoch_choose_anew(sample, other):
    rows, known = sample
    one, two = masked(rows, known).chosen, masked(rows, known, **other).chosen
    both = (one & two).sum() / one.sum()
    assert both == pytest.approx(0.15, abs=0.02)


def test_every_token_of_a_row_is_as_likely_as_any_other(sample, bpe):
    rows, known = sample[0], read_word_marks(bpe, "piece")
    ids = np.repeat(rows.input_ids[:1], 20_000, axis=0)
    chosen = corrupt(ids, np.arange(len(ids)), known, Masking(ngram=1), seed=0, epoch=0).chosen
    share = chosen.mean(axis=0)[text(rows, known)[0]]
    assert share.min() > 0.14
    assert share.max() < 0.16


def test_rows_without_text_stay_as_they_are(sample):
    _, known = sample
    ids = np.full((2, 8), np.flatnonzero(known.special)[0])
    found = corrupt(ids, np.arange(2), known, Masking(), seed=0, epoch=0)
    assert not found.chosen.any()
    assert np.array_equal(found.input_ids, ids)


def test_shares_above_one_are_refused():
    with pytest.raises(ConfigError, match="more than 1 together"):
        config.build_config(Masking, {"mask": 0.9, "random": 0.2})


SMOOTH = Masking(words="piece", ngram=1, smoothing=0.7)


def smoothed(
    rows: PackedRows,
    known: WordMarks,
    counts: np.ndarray,
    real: int | None = None,
    rate: float = 0.15,
) -> np.ndarray:
    options = SMOOTH.model_copy(update={"rate": rate})
    weights = piece_weights(counts, known, 0.7)
    real = rows.input_ids.size if real is None else real
    named = np.arange(len(rows.pair))
    return corrupt(
        rows.input_ids, named, known, options, seed=0, epoch=0, weights=weights, real=real
    ).chosen


def test_smoothing_keeps_the_rate_and_skips_specials(sample):
    """Smoothing chooses the rate of the batch and no special token."""
    rows, known = sample
    ids = rows.input_ids.copy()
    ids[:, 10] = known.unk_id
    rows = PackedRows(ids, rows.type_ids, rows.positions, rows.pair, rows.order)
    chosen = smoothed(rows[:40], known, np.ones(len(known.special), np.int64), real=40 * 64 - 5)
    assert chosen.sum() == np.ceil(0.15 * (40 * 64 - 5))
    assert not chosen[known.special[ids[:40]] | (ids[:40] == known.unk_id)].any()


def test_smoothing_draws_without_replacement(sample):
    """Two of three tokens, weights 1, 1/2, 1/4: the chance of each from the six orders in which they can come."""
    _, known = sample
    pieces = known.ordinary[:3]
    counts = np.ones(len(known.special), np.int64)
    counts[pieces] = np.round(np.array([1, 2, 4]) ** (1 / 0.7) * 1000)
    weights = piece_weights(counts, known, 0.7)[pieces]
    ids = pieces[None, :].astype(np.int32)
    random, hits = 4000, np.zeros(3)
    for epoch in range(random):
        found = corrupt(
            ids,
            np.zeros(1, np.int64),
            known,
            SMOOTH,
            seed=0,
            epoch=epoch,
            weights=piece_weights(counts, known, 0.7),
            real=10,
        )
        hits += found.chosen[0]
    share = weights / weights.sum()
    expected = [
        share[i] + sum(share[j] * share[i] / (1 - share[j]) for j in range(3) if j != i)
        for i in range(3)
    ]
    assert hits / random == pytest.approx(expected, abs=0.025)


def test_smoothing_never_chooses_more_than_there_is(sample):
    rows, known = sample
    chosen = smoothed(rows[:3], known, np.ones(len(known.special), np.int64), real=10**6)
    assert np.array_equal(chosen, text(rows, known)[:3])


def test_smoothing_with_whole_words_is_refused():
    with pytest.raises(ConfigError, match="set words = 'piece', ngram = 1 and no cap"):
        config.build_config(Masking, {"smoothing": 0.7})
