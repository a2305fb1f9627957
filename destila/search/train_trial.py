"""One trial of a search: the recipe with some keys changed, and its student trained.

    runs/NAME/trials/DIGEST/students/...   the training
    runs/NAME/trials/DIGEST/trial.json     written last: values and result

The digest is that of the filled recipe, without what changes no training, so equal trials share a
folder on purpose. Teachers, their cached outputs and tokenizers are those of the study itself.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from statistics import fmean
from typing import Any, Literal

import optuna

from destila import config
from destila.errors import ConfigError
from destila.files import locked, write_json
from destila.progress import Progress, silent
from destila.search.space import Values, overrides
from destila.search.trials import Report
from destila.study.checks import check_study
from destila.study.planning.data import Study, load_study
from destila.study.planning.plans import Method, TrainPlan, list_teachers, plan_students
from destila.study.planning.recipe import Recipe, StudentSpec, read_recipe
from destila.study.planning.search_options import SearchOptions
from destila.study.runs.training import train, train_teachers
from destila.training.loop import Evaluation

_CHANGES_NO_TRAINING = {"name", "out", "results", "search", "measure", "baseline", "compare"}

_FOR_STUDENTS = ("train.", "distil.", "students.", "seeds")
"""Keys that change no teacher."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TrialResult:
    """A finished trial, as `trial.json` holds it.

    Args:
        values: what was changed, by the keys of the recipe.
        value: by which trials are compared: the mean over seeds of the dev loss or main dev score.
        dev: mean dev scores.
        seconds: of training.
        kept: whether its models are still there; those of trials that are behind are removed.
    """

    values: Values
    value: float
    dev: dict[str, float]
    dev_loss: float
    seconds: float
    kept: bool = True


@dataclass(frozen=True, kw_only=True)
class TrialTrainer:
    """Trains the trials of one recipe.

    Args:
        path: of the recipe.
        changes: overrides that the user gave, `key=value`.
        progress: called at every step of a training.
    """

    path: str
    changes: Sequence[str] = ()
    progress: Progress = silent

    @cached_property
    def recipe(self) -> Recipe:
        """The recipe as it is."""
        return read_recipe(self.path, self.changes)

    @cached_property
    def options(self) -> SearchOptions:
        """Its `[search]` table.

        Raises:
            ConfigError: it has none, or distils where there is no teacher.
        """
        if self.recipe.search is None:
            raise ConfigError(
                f"{self.path} has no [search] table: give it one, e.g. "
                '[search] with space = {"train.lr" = [1e-4, 2e-4]}'
            )
        if self.recipe.search.method == "distil" and not self.recipe.teachers:
            raise ConfigError(
                f"{self.path}: search.method = 'distil' needs a teacher: give one in [[teachers]]"
            )
        return self.recipe.search

    @property
    def criterion(self) -> Literal["loss", "score"]:
        """What trials are compared by: the dev loss where the recipe selects by it."""
        return "loss" if self.recipe.train.select == "loss" else "score"

    @property
    def better(self) -> str:
        """Whether a higher or a lower value is the better one."""
        return "lower" if self.criterion == "loss" else "higher"

    @cached_property
    def method(self) -> Method:
        """How the student is trained."""
        if self.options.method != "auto":
            return self.options.method
        return "distil" if self.recipe.teachers else "fine-tune"

    def trial_recipe(self, values: Values) -> Recipe:
        """Return the recipe of a trial, with one student.

        Raises:
            ConfigError: a key or a value is wrong, or there is no such student.
        """
        recipe = read_recipe(self.path, [*self.changes, *overrides(values)])

        # [train] is searched for the student; teachers are trained as the recipe itself says.
        usual = self.recipe.train.model_dump()
        teachers = [
            each.model_copy(update={"train": usual | each.train}) for each in recipe.teachers
        ]
        changed = {"students": (self._student(recipe),), "teachers": tuple(teachers)}
        return recipe.model_copy(update=changed)

    def name(self, values: Values) -> str:
        """Return the digest of a trial: equal ones train the same."""
        recipe = self.trial_recipe(values)
        filled = config.key_values(recipe, exclude=_CHANGES_NO_TRAINING)
        return config.fingerprint(filled, self.method)

    def folder(self, values: Values) -> Path:
        """Return the folder of a trial."""
        return self.recipe.folder / "trials" / self.name(values)

    def result(self, values: Values) -> TrialResult | None:
        """Return the result of a finished trial; None of any other."""
        path = self.folder(values) / "trial.json"
        return _read_result(path) if path.exists() else None

    def results(self) -> list[TrialResult]:
        """Return the results of all finished trials of the recipe, the best first."""
        paths = sorted((self.recipe.folder / "trials").glob("*/trial.json"))
        results = [_read_result(path) for path in paths]
        return sorted(results, key=lambda each: each.value, reverse=self.better == "higher")

    def study(self, values: Values) -> Study:
        """Load the study of a trial; its teachers are those of the recipe's own folder.

        Where other data or windows are tried, they are its own too.
        """
        recipe, folder = self.trial_recipe(values), self.folder(values)
        if all(key.startswith(_FOR_STUDENTS) for key in values):
            return replace(load_study(recipe), place=folder)
        return load_study(
            recipe.model_copy(update={"out": str(folder.parent), "name": folder.name})
        )

    def train(self, values: Values, report: Report | None = None) -> float:
        """Train a trial, or go on with it, and return its value; a finished one is only read.

        Args:
            values: of the keys that are changed.
            report: told the value of each evaluation of the first seed; may raise to stop. None:
                nobody is.
        """
        folder = self.folder(values)
        folder.mkdir(parents=True, exist_ok=True)
        with locked(folder / ".lock"):
            if (done := self.result(values)) is not None:
                return done.value
            result = self._trained(values, report)
            write_json(folder / "trial.json", _as_json(result))

        self._drop_weights_behind()
        return result.value

    def value_of(self, dev: dict[str, float], dev_loss: float, main: str) -> float:
        """Return by what trials are compared of one evaluation."""
        return dev_loss if self.criterion == "loss" else dev[main]

    def plans(self, study: Study) -> list[TrainPlan]:
        """Return the trainings of a trial, one for each seed."""
        methods = (self.method,)
        return plan_students(study, list_teachers(study, methods), methods)

    def _trained(self, values: Values, report: Report | None) -> TrialResult:
        """Train every seed of a trial; what was trained before a kill is not trained again."""
        study = self.study(values)
        check_study(study)

        # One process makes the teachers ready, the others find them.
        methods = (self.method,)
        teachers = list_teachers(study, methods)
        plans = plan_students(study, teachers, methods)
        with locked(study.recipe.folder / ".teachers.lock"):
            train_teachers(study, teachers, plans, self.progress)

        def tell(evaluation: Evaluation) -> None:
            """Report an evaluation of the first seed."""
            if report is not None:
                report(self.value_of(dict(evaluation.scores), evaluation.loss, study.main))

        trained = []
        for i, plan in enumerate(plans):
            try:
                trained.append(train(plan, self.progress, watch=None if i else tell))
            except optuna.TrialPruned:
                # A trial that was stopped early is never gone on with: its weights are in the way.
                shutil.rmtree(study.folder / "students", ignore_errors=True)
                raise
        scores = {key: fmean(each.dev[key] for each in trained) for key in trained[0].dev}
        loss = fmean(each.dev_loss for each in trained)
        return TrialResult(
            values=values,
            value=self.value_of(scores, loss, study.main),
            dev=scores,
            dev_loss=loss,
            seconds=sum(each.seconds for each in trained),
        )

    def _drop_weights_behind(self) -> None:
        """Remove the models of trials that are behind the best one."""
        # Hundreds of trials would fill a disk; the winner's models and every number stay.
        needed = self.folder({})  # the recipe as it is, with which the best one is compared
        for each in self.results()[1:]:
            folder = self.folder(each.values)
            if each.kept and folder != needed:
                write_json(folder / "trial.json", _as_json(replace(each, kept=False)))
                shutil.rmtree(folder / "students", ignore_errors=True)

    def _student(self, recipe: Recipe) -> StudentSpec:
        """Return the student of the search."""
        wanted = self.options.student
        if wanted is None:
            return recipe.students[0]
        labels = [student.label for student in recipe.students]
        if wanted not in labels:
            raise ConfigError(
                f"{self.path}: search.student = '{wanted}' is none of {', '.join(labels)}"
            )
        return recipe.students[labels.index(wanted)]


def _read_result(path: Path) -> TrialResult:
    """Read `trial.json`."""
    return TrialResult(**json.loads(path.read_text(encoding="utf-8")))


def _as_json(result: TrialResult) -> dict[str, Any]:
    """Return a result as `trial.json` holds it."""
    return {name: getattr(result, name) for name in TrialResult.__slots__}
