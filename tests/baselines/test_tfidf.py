"""The TF-IDF baseline: single texts and pairs, a distribution per example, faults named."""

import subprocess
import sys

import numpy as np
import pytest

from destila import baselines
from destila.baselines import tfidf
from destila.errors import DataError
from destila.types import Example

SPORT = [
    "el equipo ganó el partido",
    "un gol en el minuto final",
    "la liga empieza en agosto",
    "el portero paró el penalti",
]
MONEY = [
    "el banco sube los tipos",
    "la bolsa cae otra vez",
    "el euro gana al dólar",
    "los precios suben en marzo",
]


def labelled():
    rows = [(text, "deporte") for text in SPORT] + [(text, "economía") for text in MONEY]
    return [Example(str(i), text, target=label) for i, (text, label) in enumerate(rows)]


@pytest.fixture(scope="module")
def trained():
    return tfidf.fit(labelled(), ["deporte", "economía", "salud"])


def test_texts_are_told_apart_by_their_words(trained):
    predictions = trained.predict(
        [
            Example("a", "ganó el equipo en el minuto final"),
            Example("b", "sube el dólar en la bolsa"),
        ]
    )
    assert [p.labels for p in predictions] == [("deporte",), ("economía",)]


def test_each_example_gets_one_distribution_in_label_order(trained):
    prediction = trained.predict(labelled()[:1])[0]
    assert prediction.probabilities.shape == (1, 3)
    assert prediction.probabilities.sum() == pytest.approx(1)
    assert prediction.probabilities[0, 2] == 0  # never seen in training
    assert prediction.probabilities[0].argmax() == 0


def test_no_examples_give_no_predictions(trained):
    assert trained.predict([]) == []


def test_pairs_are_judged_by_what_the_two_texts_share():
    words = [
        "gato",
        "perro",
        "casa",
        "río",
        "tren",
        "pan",
        "mesa",
        "luz",
        "flor",
        "mar",
        "sol",
        "voz",
    ]

    def pair(i, j):
        a, b, c = (words[(i + n) % 12] for n in (0, 1, 2))
        first = f"el {a} y el {b} junto al {c}"
        second = first if j == 0 else f"la {words[(i + 5) % 12]} de {words[(i + 7) % 12]}"
        return Example(f"{i}-{j}", first, second, target=("distinto", "igual")[j == 0])

    model = tfidf.fit([pair(i, j) for i in range(8) for j in (0, 1)], ["distinto", "igual"])
    unseen = [pair(i, j) for i in range(8, 12) for j in (0, 1)]
    assert [p.labels[0] for p in model.predict(unseen)] == [e.target for e in unseen]


def test_the_order_of_a_pair_counts():
    one, other = Example("1", "hola", "adiós"), Example("2", "adiós", "hola")
    model = tfidf.fit(
        [Example("1", "hola", "adiós", target="a"), Example("2", "adiós", "hola", target="b")],
        ["a", "b"],
    )
    assert [p.labels for p in model.predict([one, other])] == [("a",), ("b",)]


def test_the_same_seed_gives_the_same_probabilities(trained):
    again = tfidf.fit(labelled(), ["deporte", "economía", "salud"])
    np.testing.assert_array_equal(
        again.predict(labelled())[0].probabilities, trained.predict(labelled())[0].probabilities
    )


def test_the_baseline_says_its_name_weights_and_bytes(trained):
    assert trained.name == "tfidf"
    assert trained.parameters > 100
    assert trained.size_bytes > 4 * trained.parameters
    assert baselines.baseline_of("tfidf") is tfidf


@pytest.mark.parametrize(
    ("examples", "words"),
    [
        ([Example("e7", "a", target="z")], "'e7' has the label 'z'"),
        ([Example("e7", "a")], "'e7' has no label"),
        ([Example("e7", "hola", target="a")], "two labels to learn from, the training split has 1"),
        ([Example("1", "", target="a"), Example("2", " ", target="b")], "no word"),
    ],
)
def test_examples_that_cannot_be_learnt_from_are_errors(examples, words):
    with pytest.raises(DataError, match=words):
        tfidf.fit(examples, ["a", "b"])


def test_importing_the_baselines_loads_nothing_heavy():
    """Neither torch nor scikit-learn is loaded."""
    code = "import sys, destila.baselines.crf, destila.baselines.tfidf; "
    code += "print(sorted({'torch', 'sklearn'} & set(sys.modules)))"
    assert (
        subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=True
        ).stdout
        == "[]\n"
    )
