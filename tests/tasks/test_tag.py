"""The tagging task: windows over words, and which logits meet a word's label."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from destila.errors import DataError
from destila.tasks.tag import TASK as TAG
from destila.tasks.tag import TagTask, labelled_spans
from destila.tokenizer.split_words import split_words
from destila.training.batches import collate
from destila.types import IGNORE, Example, Features, Output, Prediction

TEXT = "El 👍 niño, María Peña, comió en A Coruña — ¿2,5 años?"
LABELS = ("O", "B-PER", "I-PER")
BIO = (*LABELS, "B-LOC", "I-LOC")
SUBTOKENS = TagTask(every_piece=True)


def tagged(text: str, name: str = "x") -> Example:
    words = split_words(text)
    return Example(name, text, words=words, target=tuple(LABELS[i % 3] for i in range(len(words))))


def words_of(text: str, start: int, end: int) -> str:
    return text[start:end].strip("▁Ġ ")


def said(*labels: str, known: tuple[str, ...] = BIO, confidence: float = 0.6) -> Prediction:
    rest = (1 - confidence) / (len(known) - 1)
    rows = [[confidence if label == name else rest for name in known] for label in labels]
    return Prediction(labels, np.array(rows, np.float32))


# from a text to windows


def test_every_token_knows_its_word(tokenizer):
    example = tagged(TEXT)
    f = TAG.encode([example], tokenizer, LABELS, max_length=64).features[0]
    assert f.unit[0] == f.unit[-1] == -1
    assert sorted(set(f.unit[1:-1].tolist())) == list(range(len(example.words)))
    for (start, end), unit in zip(f.spans[1:-1].tolist(), f.unit[1:-1].tolist(), strict=True):
        first, last = example.words[unit]
        assert first <= start <= end <= last
    assert f.target.tolist() == [i % 3 for i in range(len(example.words))]


def test_the_tokens_of_a_word_do_not_depend_on_its_neighbours(tokenizer):
    alone = TAG.encode([tagged("Peña")], tokenizer, LABELS, max_length=64).features[0]
    inside = TAG.encode([tagged(TEXT)], tokenizer, LABELS, max_length=64).features[0]
    at = [words_of(TEXT, *w) for w in tagged(TEXT).words].index("Peña")
    assert inside.input_ids[inside.unit == at].tolist() == alone.input_ids[alone.unit == 0].tolist()


def test_a_sentence_of_1238_tokens_is_scored_whole(tokenizer):
    sentence = " ".join(["María", "come", "en", "Málaga"] * 310)[: 5 * 1238]
    example = tagged(sentence)
    assert len(example.words) > 1000
    encoded = TAG.encode([example], tokenizer, LABELS, max_length=64)
    owned = [f.start + int(u) for f in encoded.features for u in np.flatnonzero(f.owned)]
    assert owned == list(range(len(example.words)))
    assert encoded.notes == {"windowed": 1, "windows": len(encoded.features)}
    assert max(len(f.input_ids) for f in encoded.features) <= 64
    for f in encoded.features:
        here = [LABELS.index(t) for t in example.target[f.start : f.start + len(f.owned)]]
        assert f.target.tolist() == [
            t if own else IGNORE for t, own in zip(here, f.owned, strict=True)
        ]
        assert set(f.unit[f.unit >= 0].tolist()) == set(range(len(f.owned)))


def test_a_word_longer_than_the_window_is_read_by_its_beginning(tokenizer):
    word = "superextraordinariamente" * 4
    examples = [tagged("una casa"), tagged(f"una {word} aquí"), tagged("otra")]
    encoded = TAG.encode(examples, tokenizer, LABELS, max_length=16)
    assert list(encoded.cut) == [1]
    assert encoded.cut[1].startswith("the word 'superextraordinaria")
    assert encoded.notes["words cut"] == 1
    assert max(len(f.input_ids) for f in encoded.features) <= 16
    owned = [
        f.start + int(u) for f in encoded.features if f.row == 1 for u in np.flatnonzero(f.owned)
    ]
    assert owned == [0, 1, 2]
    (first,) = {
        int(f.input_ids[f.unit == 1 - f.start][0])
        for f in encoded.features
        if f.row == 1 and f.start <= 1 < f.start + len(f.owned)
    }
    alone = tokenizer.words(word, [(0, len(word))])[0]
    assert first == alone.ids[0]


def test_long_words_beside_each_other_all_have_answers(tokenizer):
    text = " ".join("http://x.es/" + letter * 90 for letter in "abcd")
    words = tuple((i * 103, i * 103 + 102) for i in range(4))
    encoded = TAG.encode([Example("x", text, words=words)], tokenizer, LABELS, max_length=12)
    logits = [np.ones((len(f.input_ids), 3), np.float32) for f in encoded.features]
    (row,) = TAG.join_windows(encoded.features, logits)
    assert row.shape == (4, 3)
    assert row.all()


def test_as_many_labels_as_words_are_needed(tokenizer):
    example = Example("x", "una casa", words=((0, 3), (4, 8)), target=("O",))
    with pytest.raises(DataError, match="example 'x' has 2 words and 1 labels"):
        TAG.encode([example], tokenizer, LABELS, max_length=16)


def test_a_word_that_no_piece_covers_still_has_a_token(tokenizer):
    example = Example("x", "a \u200b b", words=((0, 1), (2, 3), (4, 5)))
    f = TAG.encode([example], tokenizer, LABELS, max_length=16).features[0]
    assert set(f.unit[f.unit >= 0].tolist()) == {0, 1, 2}


def test_an_example_without_words_is_one_window_without_units(tokenizer):
    encoded = TAG.encode([Example("x", "")], tokenizer, LABELS, max_length=16)
    assert [len(f.owned) for f in encoded.features] == [0]


def test_rows_number_the_examples_across_chunks(tokenizer, monkeypatch):
    monkeypatch.setattr("destila.tasks.tag.CHUNK", 2)
    examples = [tagged(t, t) for t in ("uno", "dos", "tres", "cuatro", "cinco")]
    features = TAG.encode(examples, tokenizer, LABELS, max_length=16).features
    assert [f.row for f in features] == [0, 1, 2, 3, 4]


# from logits to scores


def test_entities_join_their_words():
    """Entities join their words and average their probabilities."""
    words = ((0, 2), (3, 8), (9, 14), (15, 21))
    prediction = Prediction(("O", "B-PER", "I-PER", "B-LOC"), np.full((4, 5), 0.2, np.float32))
    prediction.probabilities[1, 1], prediction.probabilities[2, 2] = 0.9, 0.7
    assert labelled_spans(words, prediction, BIO) == [
        ((3, 14), "PER", pytest.approx(0.8)),
        ((15, 21), "LOC", pytest.approx(0.2)),
    ]


def test_labels_that_are_not_bio_give_one_span_per_word():
    words = ((0, 2), (3, 7))
    found = labelled_spans(words, said("DET", "NOUN", known=("DET", "NOUN")), ("DET", "NOUN"))
    assert [(span, label) for span, label, _ in found] == [((0, 2), "DET"), ((3, 7), "NOUN")]


def test_offsets_are_code_points_of_the_text():
    """Offsets are code points of the text whatever stands before."""
    text = "👩‍👧 José e Íñigo, en A Coruña 🙂"
    words = tuple(
        (text.index(w), text.index(w) + len(w)) for w in ("José", "e", "Íñigo", "en", "A", "Coruña")
    )
    found = TAG.to_result(
        Example("7", text, words=words),
        said("B-PER", "O", "B-PER", "O", "B-LOC", "I-LOC"),
        BIO,
    ).to_dict()
    assert list(found) == ["id", "text", "spans"]
    assert [list(span) for span in found["spans"]] == [
        ["start", "end", "label", "text", "probability"]
    ] * 3
    assert [(s["text"], s["label"]) for s in found["spans"]] == [
        ("José", "PER"),
        ("Íñigo", "PER"),
        ("A Coruña", "LOC"),
    ]
    assert all(found["text"][s["start"] : s["end"]] == s["text"] for s in found["spans"])
    assert json.loads(json.dumps(found)) == found


def test_a_decomposed_accent_counts_as_its_own_code_point():
    text = "Jose\u0301 come"
    example = Example("0", text, words=((0, 5), (6, 10)))
    (span,) = TAG.to_result(example, said("B-PER", "O"), BIO).spans
    assert (span.start, span.end, span.text) == (0, 5, "Jose\u0301")


def test_a_tagger_is_scored_by_entities_when_its_labels_are_bio():
    examples = [Example("0", "a b", words=((0, 1), (2, 3)), target=("B-X", "I-X"))]
    said = [Prediction(("B-X", "O"), np.zeros((2, 3)))]
    scores = TAG.score(examples, said, ("O", "B-X", "I-X"))
    assert scores["entity_f1"] == 0.0
    assert scores["accuracy"] == 0.5
    assert "pos_accuracy" in TAG.score(
        [replace(examples[0], target=("N", "V"))],
        [Prediction(("N", "V"), np.zeros((2, 2)))],
        ("N", "V"),
    )


def test_a_tagger_is_scored_with_the_calibration_of_its_words():
    examples = [Example("0", "a b", words=((0, 1), (2, 3)), target=("N", "V")), Example("1", "")]
    said = [
        Prediction(("N", "N"), np.array([[0.9, 0.1], [0.6, 0.4]])),
        Prediction((), np.zeros((0, 2))),
    ]
    assert TAG.score(examples, said, ("N", "V"))["ece"] == pytest.approx((0.1 + 0.6) / 2)


@pytest.mark.parametrize(
    ("labels", "key"),
    [
        (BIO, "entity_f1"),
        (("NOUN", "VERB"), "pos_accuracy"),
        (("O", "B-", "X"), "pos_accuracy"),
    ],
)
def test_the_main_score_follows_the_labels(labels, key):
    assert TAG.main_score(labels) == key


def test_the_gold_loss_is_the_mean_over_words():
    tagged_words = [Example("0", "", words=((0, 1), (1, 2)), target=("a", "b"))]
    logits = np.array([[2.0, 0.0], [0.0, 3.0]])
    expected = (np.log(1 + np.exp(-2.0)) + np.log(1 + np.exp(-3.0))) / 2
    assert TAG.loss(tagged_words, [logits], ["a", "b"]) == pytest.approx(expected)


# what training compares


def window(units: list[int], owned: list[bool], target: list[int]) -> Features:
    """Specials around tokens of the given local units."""
    unit = np.array([-1, *units, -1], np.int32)
    nothing = np.zeros(len(unit), np.int32)
    return Features(
        row=0,
        window=0,
        input_ids=nothing + 5,
        type_ids=nothing,
        spans=np.zeros((len(unit), 2), np.int32),
        unit=unit,
        start=0,
        owned=np.array(owned),
        target=np.array(target, np.int32),
    )


@pytest.fixture
def tags():
    """Words of 2, 1 and 3 pieces; the last is another window's. A second, shorter window."""
    return collate(
        [window([0, 0, 1, 2, 2, 2], [True, True, False], [4, 2, IGNORE]), window([0], [True], [1])],
        0,
    )


def numbered(b: int, length: int, classes: int) -> torch.Tensor:
    return torch.arange(b * length * classes, dtype=torch.float32).reshape(b, length, classes)


def test_a_tagged_word_is_read_at_its_first_sub_token(tags):
    logits = numbered(2, 8, 5)
    signal = TAG.signal(Output(logits), tags)
    assert torch.equal(signal.logits[0, :2], logits[0, [1, 3]])
    assert torch.equal(signal.logits[1, 0], logits[1, 1])
    assert signal.mask.tolist() == [[True, True, False], [True, False, False]]


def test_first_labelling_meets_one_label_per_owned_word(tags):
    logits = numbered(2, 8, 5)
    assert TAG.targets(tags).tolist() == [[4, 2, IGNORE], [1, IGNORE, IGNORE]]
    assert torch.equal(
        TAG.supervised(Output(logits), tags).logits,
        TAG.signal(Output(logits), tags).logits,
    )


def test_all_labelling_labels_each_sub_token(tags):
    """All labelling meets the word's label on each of its sub tokens."""
    logits = numbered(2, 8, 5)
    assert SUBTOKENS.targets(tags).tolist() == [
        [IGNORE, 4, 4, 2, IGNORE, IGNORE, IGNORE, IGNORE],
        [IGNORE, 1, IGNORE, IGNORE, IGNORE, IGNORE, IGNORE, IGNORE],
    ]
    assert SUBTOKENS.supervised(Output(logits), tags).logits is logits


def test_both_labellings_predict_from_first_sub_tokens(tags):
    output = Output(numbered(2, 8, 5))
    assert torch.equal(SUBTOKENS.signal(output, tags).logits, TAG.signal(output, tags).logits)
