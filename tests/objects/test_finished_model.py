"""A model as an object: what it takes, and what comes back for it."""

from __future__ import annotations

import pytest

import destila
from destila.errors import DataError
from destila.results import LabelResult

TEXTS = ["Quiero un vuelo", "La actriz salva el guion"]


@pytest.fixture
def model(untrained):
    return destila.load(untrained("classify", ("no", "sí")))


def test_one_text_is_answered_by_one_object(model):
    answer = model.predict(TEXTS[0])
    assert isinstance(answer, LabelResult)
    assert answer == model.predict({"text": TEXTS[0]}) == model.predict(TEXTS)[0]
    assert answer.label in model.labels
    assert (model.task, "2 labels" in repr(model)) == ("classify", True)


def test_a_list_is_answered_by_a_list_and_an_iterator_lazily(model):
    """An iterator without an end is read no further than a chunk."""
    assert [answer.text for answer in model.predict(tuple(TEXTS))] == TEXTS

    def endless():
        while True:
            yield TEXTS[0]

    answers = model.predict(endless())
    assert [next(answers).id for _ in range(3)] == ["0", "1", "2"]


@pytest.mark.parametrize("library", ["pandas", "polars", "datasets", "numpy"])
def test_columns_are_answered_in_order(model, library):
    frames = pytest.importorskip(library)
    if library == "datasets":
        column = frames.Dataset.from_dict({"texto": TEXTS})["texto"]
    else:
        column = frames.array(TEXTS) if library == "numpy" else frames.Series(TEXTS)
    assert model.predict(column) == model.predict(TEXTS)


@pytest.mark.parametrize("library", ["pandas", "polars", "datasets"])
def test_rows_of_frames_are_read_by_their_columns(model, library):
    """`id` and `pair` are read where a frame has them; the text may have another name."""
    frames = pytest.importorskip(library)
    rows = {"id": ["x", "y"], "texto": TEXTS, "pair": ["uno", "dos"]}
    frame = frames.Dataset.from_dict(rows) if library == "datasets" else frames.DataFrame(rows)
    answers = model.predict(frame, text="texto")
    assert [(a.id, a.text, a.pair) for a in answers] == [
        ("x", TEXTS[0], "uno"),
        ("y", TEXTS[1], "dos"),
    ]


@pytest.mark.parametrize(
    ("data", "says"),
    [
        ([TEXTS[0], None], "text 2: null instead of a text"),
        ([TEXTS[0], float("nan")], "text 2: null instead of a text"),
        ([TEXTS[0], 3], "text 2: int instead of a text"),
        ([TEXTS[0], {"texto": "a"}], "text 2: no string under 'text'"),
    ],
)
def test_what_is_no_text_is_refused_in_its_place(model, data, says):
    first, second = model.predict(data)
    assert first.label in model.labels
    assert second.error.startswith(says)


def test_a_column_that_is_not_there_is_named(model):
    with pytest.raises(DataError, match="text 1 has no 'texto': it has text"):
        model.predict([{"text": "a"}], text="texto")
