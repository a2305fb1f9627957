"""A distilled student as an estimator of scikit-learn: `DistilledClassifier(teacher).fit(X, y)`.

It is an estimator like any other: in pipelines, grids and cross-validation, cloned and pickled. A
fit is a study without its report: the teacher labels the texts, a student learns from it and from
`y`, and the best weights on a part that is held out are kept. The fitted estimator holds the files
of its model, so that it can be pickled to anywhere; `save` writes them as a model folder.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from destila import config
from destila.errors import ConfigError, require
from destila.files import replacing
from destila.objects.finished_model import FinishedModel
from destila.objects.text_rows import text_rows
from destila.study.intake.distil_data import recipe_of_file
from destila.study.intake.file_choices import FileChoices
from destila.study.planning.recipe import Recipe
from destila.study.run import run_study

require("sklearn", "baseline")  # before the imports: its error names the extra

from sklearn.base import BaseEstimator, ClassifierMixin  # noqa: E402
from sklearn.utils import assert_all_finite, check_random_state, column_or_1d  # noqa: E402
from sklearn.utils.multiclass import check_classification_targets  # noqa: E402
from sklearn.utils.validation import check_consistent_length, check_is_fitted  # noqa: E402

_STUDY = "study"
_SEEDS = 1 << 31


class DistilledClassifier(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """A classifier of texts that learns from a teacher and from labels.

    Args:
        teacher: folder, hub name or file of labels; None: a teacher is trained from scratch.
        settings: keys of the recipe to change, such as `("train.epochs=3", "max_length=64")`.
        validation_fraction: share of the texts by which the best weights are chosen.
        random_state: seed of the split, of the student's and of the teacher's training.
        threads: of an exported model; None: as many as this process may keep busy.

    Attributes:
        classes_: labels, in the order of `predict_proba`.
        files_: name -> bytes of the student's model folder.
    """

    def __init__(
        self,
        teacher: str | Path | None = None,
        *,
        settings: Sequence[str] = (),
        validation_fraction: float = 0.1,
        random_state: Any = 0,
        threads: int | None = None,
    ) -> None:
        self.teacher = teacher
        self.settings = settings
        self.validation_fraction = validation_fraction
        self.random_state = random_state
        self.threads = threads

    def fit(self, X: Any, y: Any) -> DistilledClassifier:  # noqa: N803
        """Distil a student from texts and their labels.

        Args:
            X: texts: a list, a column, or a frame or objects with `text` (and `pair`).
            y: a label for each: texts, numbers or truth values.

        Raises:
            ValueError: the two do not belong together, or there is only one class.
        """
        rows = _rows(X)
        y = _labels(y)
        check_consistent_length(rows, y)
        self.classes_, codes = np.unique(y, return_inverse=True)
        if len(self.classes_) < 2:
            raise ValueError(f"only one class in y ({self.classes_[0]!r}): give at least two")

        random = check_random_state(self.random_state)
        whole = isinstance(self.random_state, int | np.integer)
        seed = int(self.random_state) if whole else int(random.randint(_SEEDS))
        held_out = _hold_out(codes, self.validation_fraction, np.random.default_rng(seed))
        names = self._names()
        labelled = [{**row, "label": names[c]} for row, c in zip(rows, codes, strict=True)]
        self.files_ = self._distil(
            [row for row, out in zip(labelled, held_out, strict=True) if not out],
            [row for row, out in zip(labelled, held_out, strict=True) if out],
            seed,
        )
        self._opened: Any = None
        return self

    def predict(self, X: Any) -> np.ndarray:  # noqa: N803
        """Return the likeliest label of each text."""
        best = self.predict_proba(X).argmax(1)
        labels: np.ndarray = self.classes_[best]
        return labels

    def predict_proba(self, X: Any) -> np.ndarray:  # noqa: N803
        """Return the probability of every class for each text, [N, classes]."""
        check_is_fitted(self)
        answers = self._model().predict(_rows(X), strict=True)
        names = self._names()
        chances = np.array([[answer.probabilities[name] for name in names] for answer in answers])
        whole: np.ndarray = chances / chances.sum(1, keepdims=True)  # answers are rounded
        return whole

    def save(self, folder: str | Path) -> Path:
        """Write the student as a model folder that `destila.load` opens; return the folder.

        Raises:
            ConfigError: the folder exists already.
        """
        check_is_fitted(self)
        out = Path(folder)
        if out.exists():
            raise ConfigError(f"{out} exists already: choose a new folder")
        with replacing(out, folder=True) as partial:
            _write(self.files_, partial)
        return out

    def __getstate__(self) -> dict[str, Any]:
        """Return what is pickled: the files of the model, not the opened one."""
        state: dict[str, Any] = super().__getstate__()
        return {**state, "_opened": None}

    def __sklearn_is_fitted__(self) -> bool:
        """Tell whether there is a student."""
        return hasattr(self, "files_")

    def __sklearn_tags__(self) -> Any:
        """Return what scikit-learn may expect: texts in one dimension."""
        tags = super().__sklearn_tags__()
        tags.input_tags.string = True
        tags.input_tags.one_d_array = True
        tags.input_tags.two_d_array = False
        return tags

    def _names(self) -> list[str]:
        """Return the classes as the model calls them."""
        names = [str(label) for label in self.classes_]
        if len(set(names)) < len(names) or not all(name.strip() for name in names):
            raise ValueError(f"labels need names that differ: {', '.join(map(repr, names))}")
        return names

    def _distil(
        self, train: list[dict[str, Any]], dev: list[dict[str, Any]], seed: int
    ) -> dict[str, bytes]:
        """Run the study of labelled rows and return the files of the student's folder."""
        with tempfile.TemporaryDirectory(prefix="destila-") as place:
            # a study asks for a test split, which is not looked at where nothing is tested
            for split, rows in (("train", train), ("dev", dev), ("test", dev)):
                lines = "".join(json.dumps(row) + "\n" for row in rows)
                (Path(place) / f"{split}.jsonl").write_text(lines, encoding="ascii")

            recipe = self._recipe(Path(place), seed)
            run_study(recipe, methods=("distil",), tested=False)
            student = f"{recipe.students[0].label}-distilled-s{recipe.seeds[0]}"
            folder = recipe.folder / "students" / student / "best"
            return {file.name: file.read_bytes() for file in folder.iterdir() if file.is_file()}

    def _recipe(self, place: Path, seed: int) -> Recipe:
        """Return the recipe of the files in a folder."""
        choices = FileChoices(name=_STUDY, text="text", label="label", size="balanced")
        teacher = None if self.teacher is None else str(self.teacher)
        recipe = recipe_of_file(place / "train.jsonl", choices, teacher=teacher, out=place / "runs")
        seeded = {**recipe.model_dump(mode="json"), "seeds": [seed], "teacher_seed": seed}
        return config.build_config(Recipe, seeded, tuple(self.settings), where="settings")

    def _model(self) -> Any:
        """Return the student, opened on its first use in this process."""
        if self._opened is None:
            # the weights are read when it is opened; the folder is not needed after that
            with tempfile.TemporaryDirectory(prefix="destila-") as place:
                _write(self.files_, Path(place))
                self._opened = FinishedModel(place, threads=self.threads)
        return self._opened


def _rows(texts: Any) -> list[dict[str, Any]]:
    """Return texts as rows of a task; raise ValueError for what is no list of texts."""
    if isinstance(texts, str | Mapping) or not isinstance(texts, Iterable):
        raise ValueError("X must be a list of texts, not one: reshape your data, such as [text]")
    shape = getattr(texts, "shape", (0,))
    if len(shape) != 1 and not hasattr(texts, "columns"):
        raise ValueError(f"X must be texts in one dimension, not an array of shape {shape}")
    rows = []
    for number, item in enumerate(text_rows(texts)):
        row = {"text": item} if isinstance(item, str) else item
        if not isinstance(row, Mapping) or not isinstance(row.get("text"), str):
            raise ValueError(f"X[{number}] is no text: {item!r:.80}")
        rows.append({key: row[key] for key in ("text", "pair") if row.get(key) is not None})
    if not rows:
        raise ValueError("X has 0 samples: a minimum of 1 is required")
    return rows


def _labels(labels: Any) -> np.ndarray:
    """Return labels in one dimension; raise ValueError for what scikit-learn calls no classes."""
    if labels is None:
        raise ValueError("DistilledClassifier requires y to be passed, but the target y is None")
    y: np.ndarray = column_or_1d(labels, warn=True)
    assert_all_finite(y, input_name="y")
    check_classification_targets(y)
    return y


def _hold_out(codes: np.ndarray, fraction: float, random: np.random.Generator) -> np.ndarray:
    """Choose what is held out, bool [N]: a share of every class, and never the whole of one.

    Args:
        codes: the class of each text.
        fraction: of each class.
        random: draws them.
    """
    if not 0 < fraction < 1:
        raise ValueError(f"validation_fraction = {fraction} must be between 0 and 1")
    held_out = np.zeros(len(codes), bool)
    for code in np.unique(codes):
        places = random.permutation(np.flatnonzero(codes == code))
        count = min(max(1, round(fraction * len(places))), len(places) - 1)
        held_out[places[:count]] = True

    # classes of one text each: what is learnt from is looked at too
    if not held_out.any():
        raise ValueError("every class has one text (n_samples): give at least two texts of a class")
    return held_out


def _write(files: Mapping[str, bytes], folder: Path) -> None:
    """Write the files of a model folder."""
    for name, data in files.items():
        (folder / name).write_bytes(data)
