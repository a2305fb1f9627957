"""The CRF baseline: learns from words and neighbours, gives probabilities, keeps no files."""

import numpy as np
import pytest

from destila import baselines
from destila.baselines import crf
from destila.errors import DataError
from destila.types import Example

LABELS = ["B-LOC", "B-PER", "I-PER", "O"]
NAMES = ["Ana", "Luis", "María", "Óscar", "José", "Pedro", "Lucía", "Iván"]
FAMILIES = ["García", "Núñez", "López", "Rivas", "Soto", "Vega", "Mora", "Peña"]
PLACES = ["Madrid", "Lima", "Bogotá", "Quito", "Cádiz", "León", "Ávila", "Jaén"]


def tagged(words, tags, name="x"):
    text, spans, at = " ".join(words), [], 0
    for word in words:
        spans.append((at, at + len(word)))
        at += len(word) + 1
    return Example(name, text, words=tuple(spans), target=tuple(tags) if tags is not None else None)


def sentence(i, j, k):
    words = [NAMES[i], FAMILIES[j], "vive", "en", PLACES[k], "."]
    return tagged(words, ["B-PER", "I-PER", "O", "O", "B-LOC", "O"], f"{i}{j}{k}")


@pytest.fixture(scope="module")
def trained():
    return crf.fit(
        [sentence(i, (i + j) % 7, (i * j) % 7) for i in range(7) for j in range(3)], LABELS
    )


def test_unseen_names_are_tagged_by_their_surroundings(trained):
    unseen = sentence(7, 7, 7)
    assert trained.predict([unseen])[0].labels == unseen.target


def test_every_word_gets_a_distribution_in_label_order(trained):
    prediction = trained.predict([sentence(0, 0, 0)])[0]
    assert prediction.probabilities.shape == (6, 4)
    np.testing.assert_allclose(prediction.probabilities.sum(1), 1, atol=1e-9)
    assert [LABELS[i] for i in prediction.probabilities.argmax(1)] == list(prediction.labels)


def test_a_label_never_seen_in_training_has_probability_zero():
    model = crf.fit([sentence(i, i, i) for i in range(4)], [*LABELS, "B-ORG"])
    assert model.predict([sentence(0, 0, 0)])[0].probabilities[:, 4].sum() == 0


def test_an_example_without_words_gets_an_empty_prediction(trained):
    prediction = trained.predict([tagged([], [])])[0]
    assert prediction.labels == ()
    assert prediction.probabilities.shape == (0, 4)


def test_two_fits_give_the_same_model(trained):
    again = crf.fit(
        [sentence(i, (i + j) % 7, (i * j) % 7) for i in range(7) for j in range(3)], LABELS, seed=5
    )
    np.testing.assert_array_equal(
        again.predict([sentence(7, 7, 7)])[0].probabilities,
        trained.predict([sentence(7, 7, 7)])[0].probabilities,
    )


def test_the_baseline_says_its_name_weights_and_bytes(trained):
    assert trained.name == "crf"
    assert trained.parameters > 20
    assert trained.size_bytes > 4 * trained.parameters
    assert baselines.baseline_of("crf") is crf


@pytest.mark.parametrize(
    ("bad", "words"),
    [
        (tagged(["a", "b"], ["O", "B-GPE"], "e7"), "'e7' has the tag 'B-GPE'"),
        (tagged(["a", "b"], ["O"], "e7"), "'e7' has no tag for every word"),
        (tagged(["a", "b"], None, "e7"), "'e7' has no tag for every word"),
    ],
)
def test_examples_that_cannot_be_learnt_from_are_named(bad, words):
    with pytest.raises(DataError, match=words):
        crf.fit([sentence(0, 0, 0), bad], LABELS)


def test_nothing_to_learn_from_is_an_error():
    with pytest.raises(DataError, match="no tagged word"):
        crf.fit([], LABELS)


def test_features_name_form_affixes_shape_and_neighbours():
    rows = crf.word_features(["Los", "3,5", "niños"])
    assert {
        "w=niños",
        "suf=ños",
        "pre=ni",
        "shape=xxxxx",
        "short=x",
        "-1:w=3,5",
        "-2:w=los",
        "1:edge",
    } <= set(rows[2])
    assert {"shape=9,9", "digit", "-1:shape=Xxx"} <= set(rows[1])
    assert "title" in rows[0]
    assert "-1:edge" in rows[0]
