"""The classification task: one window per example, one label per example."""

from __future__ import annotations

import logging

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from destila.errors import DataError, TokenizerError
from destila.tasks.classify import TASK as CLASSIFY
from destila.tokenizer.pieces import Pieces
from destila.training.batches import collate
from destila.types import IGNORE, Example, Features, Output, Prediction

TEXT = "El 👍 niño, María Peña, comió en A Coruña — ¿2,5 años?"


def encode(tokenizer, *examples: Example, max_length: int = 32):
    return CLASSIFY.encode(examples, tokenizer, ("a", "b"), max_length=max_length)


# from a text to windows


def test_an_example_is_framed_by_specials(tokenizer):
    """An example is framed by specials and its unit sits at the first token."""
    f = encode(tokenizer, Example("x", TEXT, target="b"), max_length=64).features[0]
    assert f.input_ids[0] == tokenizer.cls_id
    assert f.input_ids[-1] == tokenizer.sep_id
    assert f.unit.tolist() == [0] + [-1] * (len(f.input_ids) - 1)
    assert (f.owned.tolist(), f.target.tolist(), f.start) == ([True], [1], 0)


def test_spans_cover_the_original_text_in_order(tokenizer):
    """Spans cover the original text in order and specials have none."""
    f = encode(tokenizer, Example("x", TEXT), max_length=64).features[0]
    assert f.spans[0].tolist() == f.spans[-1].tolist() == [0, 0]
    inner = f.spans[1:-1]
    assert (inner[:, 0] <= inner[:, 1]).all()
    assert inner[:, 1].max() <= len(TEXT)
    covered = {i for start, end in inner.tolist() for i in range(start, end)}
    assert {i for i, c in enumerate(TEXT) if not c.isspace()} == covered


def test_the_second_text_has_spans_of_its_own(tokenizer):
    f = encode(tokenizer, Example("x", "El niño", pair="La niña camina")).features[0]
    ends = f.spans[:, 1].tolist()
    assert ends.count(7) >= 1
    assert max(ends) == 14
    assert f.spans[:, 0].tolist().count(0) >= 2


def test_an_unknown_label_names_example_and_nearest(tokenizer):
    """No target is ignored and an unknown label names example and nearest."""
    assert encode(tokenizer, Example("x", "hola")).features[0].target.tolist() == [IGNORE]
    with pytest.raises(
        DataError, match=r"example 'x' has the label 'positivo', .*Did you mean 'positiva'"
    ):
        CLASSIFY.encode(
            [Example("x", "hola", target="positivo")], tokenizer, ["positiva", "otra"], max_length=8
        )


def test_truncated_examples_are_counted_and_fill_the_window(tokenizer):
    encoded = encode(tokenizer, Example("x", TEXT * 5), Example("y", "Hola"), max_length=16)
    assert encoded.notes == {"truncated": 1}
    assert len(encoded.features[0].input_ids) == 16
    assert [f.row for f in encoded.features] == [0, 1]


def test_an_empty_text_is_only_specials(tokenizer):
    f = encode(tokenizer, Example("x", "")).features[0]
    assert f.input_ids.tolist() == [tokenizer.cls_id, tokenizer.sep_id]


def test_pairs_are_truncated_as_transformers_does(tokenizer, tmp_path, caplog):
    """Longest first truncation of pairs is that of transformers."""
    transformers = pytest.importorskip("transformers")
    caplog.set_level(logging.ERROR)
    tokenizer.save(tmp_path)
    theirs = transformers.PreTrainedTokenizerFast.from_pretrained(tmp_path)
    long = " ".join(["año"] * 12)
    pairs = [(long[: 4 * m - 1], long[: 4 * n - 1]) for m in range(1, 13) for n in range(1, 13)]
    examples = [Example(str(i), a, pair=b) for i, (a, b) in enumerate(pairs)]
    for length in (9, 10, 13):
        ours = CLASSIFY.encode(examples, tokenizer, ("a",), max_length=length).features
        a, b = (list(side) for side in zip(*pairs, strict=True))
        wanted = theirs(a, b, truncation="longest_first", max_length=length)["input_ids"]
        assert [f.input_ids.tolist() for f in ours] == wanted


def test_a_window_longer_than_the_tokenizers_is_refused(tokenizer):
    """A window longer than the tokenizer's model is refused with the remedy."""
    with pytest.raises(
        TokenizerError, match=r"max_length = 65 .* at most 64 tokens: lower max_length"
    ):
        encode(tokenizer, Example("x", "hola"), max_length=65)


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    words=st.just(["a", *[""] * 120, "b"])
    | st.lists(
        st.text(
            st.sampled_from("aeñóLÁ.,¿9-–\u0301\u00a0\t\r\n\u2003€😀Σ "), min_size=1, max_size=9
        ),
        min_size=30,
        max_size=90,
    ),
    blank=st.sampled_from([" ", "  ", " \n", "\u00a0 "]),
)
def test_a_long_text_is_read_from_a_beginning(tokenizer, words, blank):
    """A long text is read from a beginning with the tokens of the whole."""
    text = blank.join(words)
    [whole] = tokenizer.text([text])
    room = 12 - tokenizer.special_count(False)
    ids, _, spans, _ = tokenizer.frame(Pieces(whole.ids[:room], whole.spans[:room]))
    encoded = CLASSIFY.encode([Example("0", text)], tokenizer, ["a"], max_length=12)
    assert encoded.notes == {"truncated": int(len(whole.ids) > room)}
    assert encoded.features[0].input_ids.tolist() == ids.tolist()
    assert encoded.features[0].spans.tolist() == spans.tolist()


def test_rows_number_the_examples_across_chunks(tokenizer, monkeypatch):
    monkeypatch.setattr("destila.tasks.classify.CHUNK", 2)
    examples = [Example(t, t, pair="y") for t in ("uno", "dos", "tres", "cuatro", "cinco")]
    assert [f.row for f in encode(tokenizer, *examples).features] == [0, 1, 2, 3, 4]


# from logits to scores


def test_a_classification_lists_every_probability_by_label():
    found = CLASSIFY.to_result(
        Example("1", "hola"), Prediction(("sí",), np.array([[0.25, 0.75]])), ("no", "sí")
    ).to_dict()
    assert found == {
        "id": "1",
        "text": "hola",
        "label": "sí",
        "probabilities": {"no": 0.25, "sí": 0.75},
    }


def test_a_pair_is_repeated_in_the_answer():
    prediction = Prediction(("no",), np.array([[0.6, 0.4]]))
    assert CLASSIFY.to_result(Example("1", "a", pair="b"), prediction, ("no", "sí")).pair == "b"


def test_a_classifier_is_scored_with_its_calibration():
    examples = [Example("0", "x", target="a"), Example("1", "y", target="b")]
    said = [Prediction(("a",), np.array([[0.9, 0.1]])), Prediction(("a",), np.array([[0.6, 0.4]]))]
    scores = CLASSIFY.score(examples, said, ("a", "b"))
    assert set(scores) == {"accuracy", "macro_f1", "mcc", "ece"}
    assert scores["accuracy"] == 0.5


def test_the_gold_loss_is_the_mean_over_examples():
    rows = [np.array([[2.0, 0.0]]), np.array([[0.0, 3.0]])]
    examples = [Example("0", "", target="a"), Example("1", "", target="a")]
    expected = (np.log(1 + np.exp(-2.0)) + np.log(1 + np.exp(3.0))) / 2
    assert CLASSIFY.loss(examples, rows, ["a", "b"]) == pytest.approx(expected)


# what training compares


def test_a_classified_example_is_its_only_unit():
    nothing = np.zeros(2, np.int32)
    f = Features(
        row=0,
        window=0,
        input_ids=nothing + 5,
        type_ids=nothing,
        spans=np.zeros((2, 2), np.int32),
        unit=np.array([0, -1], np.int32),
        start=0,
        owned=np.ones(1, bool),
        target=np.array([1], np.int32),
    )
    batch = collate([f, f], 0)
    output = Output(torch.tensor([[1.0, 2.0], [3.0, 4.0]]))
    signal = CLASSIFY.signal(output, batch)
    assert signal.logits.tolist() == [[[1.0, 2.0]], [[3.0, 4.0]]]
    assert signal.mask.tolist() == [[True], [True]]
    assert CLASSIFY.targets(batch).tolist() == [[1], [1]]
    assert torch.equal(CLASSIFY.supervised(output, batch).logits, signal.logits)
