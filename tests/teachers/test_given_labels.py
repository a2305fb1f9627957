"""Labels that somebody else made, as a teacher: read, checked against the data, and cached like a model's."""

from __future__ import annotations

import json
import logging

import numpy as np
import pytest

from destila.errors import DataError
from destila.tasks import task_of
from destila.teachers.cache import Cache
from destila.teachers.given_labels import is_label_file, read_given_labels
from destila.teachers.given_rows import LabelReader
from destila.types import Dataset, Example

TEXT = "Ana Gil vive en Lima"
WORDS = ((0, 3), (4, 7), (8, 12), (13, 15), (16, 20))
BIO = ("O", "B-PER", "I-PER", "B-LOC", "I-LOC")
TAGGED = Example("train-1", TEXT, words=WORDS, target=("B-PER", "I-PER", "O", "O", "B-LOC"))


def dataset(task, labels, *examples, **columns):
    return Dataset("toy", task, labels, {"train": examples}, columns=columns)


def given(tmp_path, data, *rows, **options):
    """Read a file of labels."""
    path = tmp_path / "labels.jsonl"
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))
    reader = LabelReader(task_of(data.task), tuple(data.labels), **options)
    return read_given_labels(str(path), data, reader)


def chances(teacher, example):
    """Return what a teacher says of an example, as probabilities."""
    return teacher.predict([example])[0].probabilities


@pytest.fixture
def reviews():
    return dataset(
        "classify",
        ("malo", "bueno", "regular"),
        Example("1", "Me gustó", target="bueno"),
        Example("2", "No vuelvo", "nunca", target="malo"),
        texto="texto",
    )


def test_labels_and_probabilities_of_texts_become_logits(tmp_path, reviews, caplog):
    """A label alone is smoothed; what a list leaves over is spread over the labels it lacks."""
    caplog.set_level(logging.INFO)
    teacher = given(
        tmp_path,
        reviews,
        {"text": "Me gustó", "label": "BUENO", "id": "77"},
        {"text": "No vuelvo", "pair": "nunca", "probabilities": {"malo": 0.9}},
        smoothing=0.3,
    )
    first, second = reviews.splits["train"]
    assert chances(teacher, first)[0] == pytest.approx([0.1, 0.8, 0.1])
    assert chances(teacher, second)[0] == pytest.approx([0.9, 0.05, 0.05])
    assert "against gold labels: train accuracy 100.0 (2 of 2)" in caplog.text


def test_lines_name_texts_by_id_or_by_the_columns_of_the_data(tmp_path, reviews):
    data = dataset("classify", reviews.labels, *reviews.splits["train"], text="texto", label="nota")
    teacher = given(
        tmp_path, data, {"texto": "Me gustó", "nota": "malo"}, {"id": 2, "label": "malo"}
    )
    assert [p.labels for p in teacher.predict(data.splits["train"])] == [("malo",), ("malo",)]
    # of a line with gold and a label of its own, its own counts
    both = {"texto": "Me gustó", "nota": "bueno", "label": "regular"}
    teacher = given(tmp_path, data, both, {"id": 2, "label": "malo"})
    assert teacher.predict(data.splits["train"])[0].labels == ("regular",)


def test_the_votes_of_a_crowd_are_averaged(tmp_path, reviews):
    votes = [{"id": "1", "label": label} for label in ("bueno", "bueno", "malo", "bueno")]
    teacher = given(tmp_path, reviews, *votes, {"id": "2", "label": "malo"}, smoothing=0.0)
    example = reviews.splits["train"][0]
    assert chances(teacher, example)[0] == pytest.approx([0.25, 0.75, 0], abs=1e-5)


@pytest.mark.parametrize(
    "row",
    [
        {"labels": ["B-PER", "I-PER", "O", "O", "B-LOC"]},
        {
            "spans": [
                {"start": 0, "end": 7, "label": "PER"},
                {"start": 16, "end": 20, "label": "loc"},
            ]
        },
        {
            "ents": [
                {"start": 0, "end": 6, "label": "persona"},
                {"start": 17, "end": 19, "label": "LOC"},
            ]
        },
        {"probabilities": [{label: 1.0} for label in TAGGED.target]},
    ],
)
@pytest.mark.parametrize("name", [{"id": "train-1"}, {"text": TEXT}, {"words": TEXT.split()}])
def test_tags_are_read_word_by_word_or_from_spans(tmp_path, row, name):
    """A span labels every word that it touches; names of types are mapped to those of the data."""
    data = dataset("tag", BIO, TAGGED)
    teacher = given(tmp_path, data, {**name, **row}, label_map={"persona": "PER"})
    assert teacher.predict([TAGGED])[0].labels == TAGGED.target


def test_what_a_span_is_unsure_of_is_left_to_no_entity(tmp_path):
    data = dataset("tag", BIO, TAGGED)
    spans = [{"start": 0, "end": 3, "label": "PER", "score": 0.6}]
    teacher = given(tmp_path, data, {"id": "train-1", "entities": spans}, smoothing=0.05)
    rows = chances(teacher, TAGGED)
    assert rows[0] == pytest.approx([0.4, 0.6, 0, 0, 0], abs=1e-5)
    assert rows[1] == pytest.approx([0.96, 0.01, 0.01, 0.01, 0.01], abs=1e-5)


def test_several_labels_count_each_for_itself(tmp_path):
    data = dataset(
        "multilabel", ("a", "b"), Example("1", "x", target=("a",)), Example("2", "y", target=())
    )
    teacher = given(
        tmp_path,
        data,
        {"id": "1", "labels": ["b"]},
        {"id": "2", "probabilities": {"a": 0.7, "b": 0.9}},
        smoothing=0.2,
    )
    one, two = data.splits["train"]
    assert chances(teacher, one)[0] == pytest.approx([0.1, 0.9])
    assert chances(teacher, two)[0] == pytest.approx([0.7, 0.9])


GOOD = {"id": "2", "label": "malo"}


@pytest.mark.parametrize(
    ("rows", "says"),
    [
        ([GOOD], r"no labels for 1 of 2 texts \(first: '1', \"Me gustó\"\): label them"),
        (
            [{"id": "1", "label": "buena"}, GOOD],
            r"line 1 \(text '1'\): unknown label 'buena'\. Did you",
        ),
        ([GOOD, {"id": "1", "probabilities": {"malo": 0.9, "bueno": 0.9}}], "line 2 .* sum to 1.8"),
        (
            [{"id": "1", "probabilities": {"malo": 0.2, "bueno": 0.2, "regular": 0.2}}, GOOD],
            "sum to 0.6",
        ),
        ([{"id": "1", "probabilities": {"malo": 1.2}}, GOOD], "'malo' = 1.2: not from 0 to 1"),
        ([{"id": "1", "probabilities": [0.5, 0.5]}, GOOD], r"give \{label: number\}"),
        ([{"id": "1", "text": "Otro", "label": "malo"}, GOOD], "no labels for 1 of 2 texts"),
        ([{"id": "1"}, GOOD], "neither 'label' nor 'probabilities'"),
        ([{"label": "malo"}], "line 1: names no text: give 'text', or 'id'"),
        ([3], "line 1: int instead of an object"),
    ],
)
def test_a_file_that_does_not_fit_the_data_is_refused(tmp_path, reviews, rows, says):
    with pytest.raises(DataError, match=says):
        given(tmp_path, reviews, *rows)


@pytest.mark.parametrize(
    ("row", "says"),
    [
        ({"labels": ["O"]}, "1 labels for a text of 5 words"),
        ({"spans": [{"start": 3, "end": 99, "label": "PER"}]}, "lies not in a text of 20"),
        ({"spans": [{"start": 3, "end": 5, "label": "MISC"}]}, "unknown label 'B-MISC'"),
        ({"spans": [{"start": 3, "end": 5, "label": "PER", "score": 2}]}, "its probability is not"),
        ({"spans": ["PER"]}, "give {start, end, label}"),
        ({}, "neither 'labels' nor 'probabilities' nor 'spans'"),
    ],
)
def test_tags_that_do_not_fit_the_words_are_refused(tmp_path, row, says):
    with pytest.raises(DataError, match=says):
        given(tmp_path, dataset("tag", BIO, TAGGED), {"id": "train-1", **row})


def test_parts_of_speech_need_every_word(tmp_path):
    data = dataset(
        "tag",
        ("NOUN", "VERB"),
        Example("1", "sol sale", words=((0, 3), (4, 8)), target=("NOUN", "VERB")),
    )
    with pytest.raises(DataError, match="no span covers the word 'sale'"):
        given(tmp_path, data, {"id": "1", "spans": [{"start": 0, "end": 3, "label": "NOUN"}]})


def test_an_id_of_two_texts_and_a_missing_file_are_refused(tmp_path, reviews):
    first, second = reviews.splits["train"]
    twice = Dataset(
        "toy", "classify", reviews.labels, {"train": [first], "dev": [Example("1", second.text)]}
    )
    with pytest.raises(DataError, match="the id '1' names two texts"):
        given(tmp_path, twice, {"id": "1", "label": "malo"})
    reader = LabelReader(task_of("classify"), reviews.labels)
    with pytest.raises(DataError, match="no file of labels at"):
        read_given_labels(str(tmp_path / "none.jsonl"), reviews, reader)


def test_the_cache_keeps_them_like_those_of_a_model(tmp_path, reviews):
    """And another file, or another smoothing, is another teacher."""
    rows = [{"id": "1", "label": "bueno"}, GOOD]
    one, other = given(tmp_path, reviews, *rows), given(tmp_path, reviews, *rows, smoothing=0.2)
    assert one.fingerprint != other.fingerprint
    assert one.fingerprint == given(tmp_path, reviews, *rows).fingerprint
    cache = Cache.open(tmp_path / "cache", one.spec("example"), 3)
    examples = reviews.splits["train"]
    assert cache.fill(examples, one.logits) == 2
    kept = list(cache.rows(examples))
    np.testing.assert_allclose(kept, np.array(list(one.logits(examples))), atol=2e-3)
    assert cache.fill(examples, other.logits) == 0


def test_files_of_labels_are_known_by_their_ending(tmp_path):
    assert is_label_file("labels.jsonl")
    assert is_label_file("gpt.labels.jsonl.gz")
    assert not is_label_file("my-teacher")
    (tmp_path / "x.jsonl").mkdir()
    assert not is_label_file(str(tmp_path / "x.jsonl"))
