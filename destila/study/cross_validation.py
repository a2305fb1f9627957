"""The folds of a study: what models that never saw a text say of it; see `planning/folds.py`.

Nothing is recorded of a fold. Its trainings lie in folders of their own, so that a kill costs the
steps since the last save, and what they answer is computed again, which takes a moment.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from destila.baselines import Baseline, baseline_of
from destila.errors import ConfigError
from destila.progress import Progress
from destila.study.planning.data import Study
from destila.study.planning.folds import fold_studies
from destila.study.planning.open_models import load_for_study, predictor_of
from destila.study.planning.plans import Method, TrainPlan, list_teachers, plan_students
from destila.study.planning.teachers import Teachers
from destila.study.runs.training import train, train_teachers
from destila.training.processes import processes
from destila.types import Prediction


@dataclass(frozen=True, slots=True)
class _Fold:
    """A study without one fold, with its own teachers and trainings."""

    study: Study
    teachers: Teachers
    plans: Sequence[TrainPlan]

    def prepare(self, progress: Progress) -> None:
        """Train its teachers, unless they are ready."""
        if not self.teachers.ready:
            train_teachers(self.study, self.teachers, self.plans, progress)


class CrossValidation:
    """All folds of a study, none of them trained yet; false where there are none."""

    def __init__(self, study: Study, methods: Sequence[Method]) -> None:
        """Plan the trainings of every fold.

        Raises:
            ConfigError: these data cannot be cross-validated, or several processes train.
        """
        self.studies = fold_studies(study)
        if self.studies and processes().num_processes > 1:
            raise ConfigError(
                f"folds = {study.recipe.folds}: cross-validation runs in one process: start "
                "destila without torchrun, or set folds = 0"
            )
        self._folds = []
        for part in self.studies:
            teachers = list_teachers(part, methods)
            self._folds.append(_Fold(part, teachers, plan_students(part, teachers, methods)))
        self._of_teachers: list[Prediction] | None = None

    def __bool__(self) -> bool:
        return bool(self._folds)

    def of_student(self, name: str, progress: Progress) -> list[Prediction] | None:
        """Return what a student says of all folds, trained without each in turn; None without any.

        Args:
            name: of the training in the study.
            progress: called at every step.
        """

        def answer(fold: _Fold, progress: Progress) -> Sequence[Prediction]:
            """Train the student of a fold and let it answer."""
            fold.prepare(progress)
            plan = next(plan for plan in fold.plans if plan.name == name)
            trained = train(plan, progress)
            predictor = predictor_of(fold.study, load_for_study(fold.study, trained.folder))
            return list(predictor.predict(fold.study.dataset.splits["test"]))

        return self._all(answer, progress)

    def of_teachers(self, progress: Progress) -> list[Prediction] | None:
        """Return what the best teacher of each fold says of it, kept for every student."""

        def answer(fold: _Fold, progress: Progress) -> Sequence[Prediction]:
            """Train the teachers of a fold and let the best one answer."""
            fold.prepare(progress)
            predictions = fold.teachers.best_predictions
            assert predictions is not None, "every text trains in some fold, so a file labels all"
            return predictions

        if self._of_teachers is None:
            self._of_teachers = self._all(answer, progress)
        return self._of_teachers

    def of_baseline(self, name: str, progress: Progress) -> list[Prediction] | None:
        """Return what a baseline says of all folds, fitted without each in turn."""

        def answer(fold: _Fold, progress: Progress) -> Sequence[Prediction]:  # noqa: ARG001
            """Fit the baseline and let it answer."""
            splits = fold.study.dataset.splits
            fitted: Baseline = baseline_of(name).fit(splits["train"], fold.study.labels)
            return fitted.predict(splits["test"])

        return self._all(answer, progress)

    def details(self, predictions: Sequence[Prediction] | None) -> dict[str, Any]:
        """Return what a record keeps of the folds: the main score of each."""
        if predictions is None:
            return {}
        scores, start = [], 0
        for study in self.studies:
            examples = study.dataset.splits["test"]
            some = predictions[start : start + len(examples)]
            scores.append(study.task.score(examples, some, study.labels)[study.main])
            start += len(examples)
        return {"folds": scores}

    def _all(
        self, answer: Callable[[_Fold, Progress], Sequence[Prediction]], progress: Progress
    ) -> list[Prediction] | None:
        """Return the answers of all folds, one after the other."""
        if not self._folds:
            return None
        predictions: list[Prediction] = []
        for number, fold in enumerate(self._folds, 1):
            where = f"fold {number} of {len(self._folds)}: "
            predictions += answer(fold, _within(where, progress))
        return predictions


def _within(where: str, progress: Progress) -> Progress:
    """Return what tells of the progress of a part, called by where it is."""

    def tell(what: str, done: int, total: int) -> None:
        """Name the fold before the step."""
        progress(where + what, done, total)

    return tell
