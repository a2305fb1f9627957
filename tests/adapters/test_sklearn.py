"""The estimator under scikit-learn's own checks, and a real fit."""

from __future__ import annotations

import json
import pickle
from types import SimpleNamespace

import numpy as np
import pytest

import destila
from destila.errors import ConfigError

pytest.importorskip("sklearn")
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer
from sklearn.utils.estimator_checks import check_estimator
from sklearn.utils.validation import validate_data

from destila.adapters.sklearn import DistilledClassifier, _hold_out

SMALL = (
    'teachers.0.shape={kind="bert", layers=1, hidden=32, heads=2}',
    'students.0.shape={kind="bert", layers=1, hidden=32, heads=2}',
    "teachers.0.tokenizer.vocab_size=400",
    "students.0.tokenizer.vocab_size=400",
    "train.epochs=16",
    "train.batch_size=4",
    "train.lr=3e-3",
    "max_length=32",
)


class Centroids:
    """What stands for a student: texts of numbers, and the mean of each class."""

    def __init__(self, means):
        self.means = means

    def predict(self, rows, *, strict):
        texts = np.array([[float(word) for word in row["text"].split()] for row in rows])
        names = list(self.means)
        far = [np.square(texts - np.array(mean)).sum(1) for mean in self.means.values()]
        chances = np.exp(np.min(far, 0) - far)
        chances = (chances / chances.sum(0)).T
        return [
            SimpleNamespace(probabilities=dict(zip(names, row, strict=True))) for row in chances
        ]


class OfNumbers(DistilledClassifier):
    """The estimator where scikit-learn's checks can try it: rows of numbers are written as texts.

    Everything but the training is the real thing; in its place are centroids.
    """

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.two_d_array, tags.input_tags.one_d_array = True, False
        return tags

    def fit(self, X, y):
        return super().fit(self._texts(X, reset=True), y)

    def predict_proba(self, X):
        texts = self._texts(X, reset=False) if self.__sklearn_is_fitted__() else X
        return super().predict_proba(texts)

    def _texts(self, X, *, reset):
        rows = validate_data(self, X, reset=reset, dtype="numeric")
        return [" ".join(map(repr, row)) for row in np.asarray(rows, float).tolist()]

    def _distil(self, train, dev, seed):
        places = {}
        for row in [*train, *dev]:
            places.setdefault(row["label"], []).append([float(x) for x in row["text"].split()])
        means = {name: np.mean(rows, 0).tolist() for name, rows in places.items()}
        return {"means.json": json.dumps(means).encode()}

    def _model(self):
        return Centroids(json.loads(self.files_["means.json"]))


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.DataConversionWarning")
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.SkipTestWarning")
def test_the_checks_of_scikit_learn_pass():
    """Every one, with rows of numbers; of estimators of texts scikit-learn itself tries one alone.

    The check of other array libraries is skipped unless SCIPY_ARRAY_API is set.
    """
    done = check_estimator(OfNumbers(), on_skip=None)
    assert {each["check_name"] for each in done if each["status"] != "passed"} <= {
        "check_array_api_input"
    }
    assert len(done) > 50
    (alone, *_) = check_estimator(DistilledClassifier(), on_skip=None)
    assert (alone["check_name"], alone["status"]) == ("check_estimator_cloneable", "passed")


@pytest.fixture(scope="module")
def data():
    texts = [f"Me {verb} {thing} {i}" for i in range(8) for verb, thing in PHRASES]
    return texts, [2 if "gusta" in text or "encanta" in text else -1 for text in texts]


PHRASES = (("gusta", "el vuelo"), ("aburre", "la cuenta"), ("encanta", "el tren"), ("cansa", "ir"))


@pytest.fixture(scope="module")
def fitted(data, tmp_path_factory):
    """A real student of a teacher that is trained first; both tiny."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DESTILA_CACHE", str(tmp_path_factory.mktemp("cache")))
        return DistilledClassifier(settings=SMALL, random_state=3).fit(*data)


def test_a_student_learns_and_keeps_the_classes_of_y(fitted, data):
    """Numbers come back as numbers; probabilities are those of the model, in their order."""
    texts, y = data
    assert fitted.score(texts, y) > 0.9
    assert fitted.classes_.tolist() == [-1, 2]
    assert set(fitted.predict(texts).tolist()) == {-1, 2}
    chances = fitted.predict_proba(texts)
    np.testing.assert_allclose(chances.sum(1), 1)
    np.testing.assert_array_equal(fitted.classes_[chances.argmax(1)], fitted.predict(texts))


def test_a_pickled_and_a_saved_student_answer_alike(fitted, data, tmp_path):
    texts, _ = data
    again = pickle.loads(pickle.dumps(fitted))
    np.testing.assert_array_equal(again.predict_proba(texts), fitted.predict_proba(texts))
    model = destila.load(fitted.save(tmp_path / "mi-modelo"))
    assert [a.label for a in model.predict(texts)] == [str(p) for p in fitted.predict(texts)]
    with pytest.raises(ConfigError, match="exists already"):
        fitted.save(tmp_path / "mi-modelo")


def test_texts_are_taken_as_lists_columns_and_rows(fitted, data):
    """In a pipeline too; a clone has the settings, and not the student."""
    pandas = pytest.importorskip("pandas")
    texts, y = data
    expected = fitted.predict(texts)
    for X in (np.array(texts), pandas.Series(texts), [{"text": text} for text in texts]):
        np.testing.assert_array_equal(fitted.predict(X), expected)
    np.testing.assert_array_equal(fitted.predict(pandas.DataFrame({"text": texts})), expected)
    lower = FunctionTransformer(lambda rows: [row.lower() for row in rows])
    assert make_pipeline(lower, fitted).score(texts, y) == fitted.score(texts, y)
    copied = clone(fitted)
    assert copied.get_params() == fitted.get_params()
    with pytest.raises(NotFittedError):
        copied.predict(texts)


@pytest.mark.parametrize(
    ("X", "y", "says"),
    [
        ("uno", ["a"], "X must be a list of texts"),
        ([], [], "0 samples"),
        (["a", 3], ["x", "y"], r"X\[1\] is no text: 3"),
        ([["a"], ["b"]], ["x", "y"], r"X\[0\] is no text"),
        (np.array([["a", "b"]]), ["x"], r"array of shape \(1, 2\)"),
        (["a", "b"], ["x"], "inconsistent numbers of samples"),
        (["a", "b"], ["x", "x"], "only one class"),
        (["a", "b"], ["x", "y"], "every class has one text"),
        (["a", "b"], None, "requires y to be passed"),
        (["a", "b", "c"], [0.5, 1.5, 2.2], "continuous"),
        (["a", "b", "c", "d"], ["x", " ", "x", " "], "names that differ"),
    ],
)
def test_what_cannot_be_learnt_is_a_value_error(X, y, says):
    with pytest.raises((ValueError, TypeError), match=says):
        DistilledClassifier().fit(X, y)


def test_a_share_of_every_class_is_held_out():
    codes = np.array([0] * 20 + [1] * 5 + [2])
    out = _hold_out(codes, 0.2, np.random.default_rng(0))
    assert [int(out[codes == code].sum()) for code in range(3)] == [4, 1, 0]
