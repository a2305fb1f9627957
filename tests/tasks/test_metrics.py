"""Scores against golden cases counted by hand, and against seqeval and scikit-learn as oracles."""

from __future__ import annotations

import json
import warnings
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from destila.errors import ConfigError, DataError
from destila.tasks import metrics

GOLDEN = Path(__file__).parent.parent / "golden"
ENTITY_CASES = json.loads((GOLDEN / "entity_f1.json").read_text(encoding="utf-8"))
CHUNK_CASES = json.loads((GOLDEN / "chunk_f1.json").read_text(encoding="utf-8"))
BIO = ("O", "B-PER", "I-PER", "B-LOC", "I-LOC", "B-ORG", "I-ORG")
UPOS = (
    "NOUN",
    "PUNCT",
    "ADP",
    "SYM",
    "SCONJ",
    "CCONJ",
    "ADJ",
    "PROPN",
    "X",
    "_",
    "INTJ",
    "VERB",
    "AUX",
)


def sentences(labels):
    pair = st.tuples(st.sampled_from(labels), st.sampled_from(labels))
    return st.lists(st.lists(pair, min_size=1, max_size=8), min_size=1, max_size=4)


def sides(drawn):
    return [[a for a, _ in s] for s in drawn], [[b for _, b in s] for s in drawn]


def seqeval(gold, predicted):
    from seqeval.metrics import f1_score, precision_score, recall_score

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return tuple(float(f(gold, predicted)) for f in (f1_score, precision_score, recall_score))


@pytest.mark.parametrize("case", ENTITY_CASES, ids=lambda c: c["case"])
def test_entity_counts_are_the_golden_ones(case):
    counts = np.sum(metrics.items("entity_f1", case["gold"], case["predicted"]), axis=0).tolist()
    assert counts == [case["tp"], case["found"], case["true"]]


@pytest.mark.parametrize("case", CHUNK_CASES, ids=lambda c: c["case"])
def test_chunk_f1_is_the_golden_one(case):
    assert metrics.chunk_f1(case["gold"], case["predicted"]) == pytest.approx(case["f1"])


@given(sentences(BIO))
@settings(max_examples=150, deadline=None)
def test_entity_scores_equal_seqeval_on_any_bio_sequence(drawn):
    gold, predicted = sides(drawn)
    ours = metrics.tagging(gold, predicted, BIO)
    assert (ours["entity_f1"], ours["entity_precision"], ours["entity_recall"]) == pytest.approx(
        seqeval(gold, predicted)
    )


@given(sentences(UPOS))
@settings(max_examples=150, deadline=None)
def test_chunk_f1_equals_seqeval_on_tags_without_prefix(drawn):
    gold, predicted = sides(drawn)
    assert metrics.tagging(gold, predicted, UPOS)["chunk_f1"] == pytest.approx(
        seqeval(gold, predicted)[0]
    )


@given(
    st.lists(st.tuples(st.sampled_from("abcd"), st.sampled_from("abc")), min_size=1, max_size=40)
)
@settings(max_examples=60, deadline=None)
def test_classification_equals_scikit_learn(pairs):
    from sklearn.metrics import accuracy_score, f1_score, matthews_corrcoef

    gold, predicted = [a for a, _ in pairs], [b for _, b in pairs]
    ours = metrics.classification(gold, predicted, ("a", "b", "c", "d"))
    assert ours["accuracy"] == pytest.approx(accuracy_score(gold, predicted))
    assert ours["macro_f1"] == pytest.approx(f1_score(gold, predicted, average="macro"))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # one label only
        assert ours["mcc"] == pytest.approx(matthews_corrcoef(gold, predicted))


def test_entities_are_half_open_spans_of_words():
    assert metrics.entities(["O", "B-PER", "I-PER", "B-LOC"]) == [("PER", 1, 3), ("LOC", 3, 4)]


def test_confident_and_always_right_has_no_calibration_error():
    assert metrics.ece(["a", "b"], ("a", "b"), np.array([[1.0, 0.0], [0.0, 1.0]])) == 0


def test_calibration_error_is_a_gap_to_accuracy():
    """Calibration error is the gap of confidence and accuracy."""
    # one bin, (14/15, 1]: confidence 0.95, half right
    rows = np.array([[0.95, 0.05], [0.95, 0.05]])
    assert metrics.ece(["a", "b"], ("a", "b"), rows) == pytest.approx(0.45)


def test_calibration_error_weights_bins_by_their_size():
    # three right at 0.9, one wrong at 0.6: (3 * 0.1 + 1 * 0.6) / 4
    rows = np.array([[0.9, 0.1]] * 3 + [[0.6, 0.4]])
    assert metrics.ece(["a", "a", "a", "b"], ("a", "b"), rows) == pytest.approx(0.225)


def test_a_bin_holds_its_upper_edge():
    # 0.6 = 9/15 belongs to (8/15, 9/15] with 0.58, so their gaps +0.4 and -0.58 cancel inside one
    # bin
    rows = np.array([[0.6, 0.4], [0.58, 0.42]])
    assert metrics.ece(["a", "b"], ("a", "b"), rows) == pytest.approx(0.09)


@pytest.mark.parametrize(
    ("main", "labels", "gold", "predicted"),
    [
        ("accuracy", ("a", "b"), ["a", "b", "b"], ["a", "a", "b"]),
        ("entity_f1", BIO, [["B-PER", "O"], ["B-LOC", "I-LOC"]], [["B-PER", "O"], ["B-LOC", "O"]]),
        ("pos_accuracy", UPOS, [["NOUN", "VERB"], ["ADP"]], [["NOUN", "ADJ"], ["ADP"]]),
    ],
)
def test_summed_items_give_the_main_score(main, labels, gold, predicted):
    direct = (
        metrics.classification(gold, predicted, labels)
        if main == "accuracy"
        else metrics.tagging(gold, predicted, labels)
    )
    summed = np.sum(metrics.items(main, gold, predicted), axis=0)
    assert metrics.score_of_items(main, summed) == pytest.approx(direct[main])


def test_a_score_of_no_counts_is_zero():
    assert metrics.score_of_items("entity_f1", [0, 0, 0]) == 0


def test_macro_f1_is_a_function_of_added_counts():
    """The counts of all labels, added over examples, give the score itself; absent ones do not count."""
    labels, gold, guess = ("a", "b", "c", "d"), list("aabbbca"), list("abbbccc")
    counts = metrics.items("macro_f1", gold, guess, labels)
    score = metrics.classification(gold, guess, labels)["macro_f1"]
    assert metrics.score_of_items("macro_f1", np.sum(counts, axis=0)) == pytest.approx(score)


def test_mcc_has_no_additive_counts():
    with pytest.raises(ConfigError, match="no additive counts"):
        metrics.score_of_items("mcc", [1, 2, 3])


def test_per_label_of_bio_is_per_entity_type():
    rows = metrics.per_label("entity_f1", BIO, [["B-PER", "O", "B-LOC"]], [["B-PER", "B-ORG", "O"]])
    assert list(rows) == ["PER", "LOC", "ORG"]
    assert rows["PER"] == {"precision": 1.0, "recall": 1.0, "f1": 1.0, "support": 1.0}
    assert rows["ORG"]["support"] == 0
    assert rows["LOC"]["recall"] == 0


def test_per_label_of_a_classifier_is_per_class():
    rows = metrics.per_label("accuracy", ("a", "b"), ["a", "a", "b"], ["a", "b", "b"])
    assert rows["a"] == pytest.approx(
        {"precision": 1.0, "recall": 0.5, "f1": 2 / 3, "support": 2.0}
    )


def test_confusion_has_gold_in_rows():
    assert metrics.confusion(("a", "b"), ["a", "a", "b"], ["a", "b", "b"]) == [[1, 1], [0, 1]]


def test_agreement_is_the_share_of_equal_words():
    assert metrics.agreement([["O", "B-PER"], ["O"]], [["O", "O"], ["O"]]) == pytest.approx(2 / 3)


def test_a_label_outside_the_set_is_named():
    with pytest.raises(DataError, match="'c'"):
        metrics.classification(["a", "c"], ["a", "b"], ("a", "b"))


def test_missing_words_are_an_error_with_the_example():
    with pytest.raises(DataError, match="example 1: 1 predicted labels for 2 words"):
        metrics.tagging([["O"], ["O", "O"]], [["O"], ["O"]], BIO)


def test_nothing_to_score_is_an_error():
    with pytest.raises(DataError, match="nothing to score"):
        metrics.classification([], [], ("a",))
