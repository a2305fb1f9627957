"""Cross-validation of small sets: the labelled texts cut into folds, each a study of its own.

A test split of a few texts says next to nothing. So every fold in turn is what a study is tested
on, with a teacher, students and baselines trained without it, and the answers to all folds are
scored together: each text counts once, answered by a model that had not seen it. Scores of all
answers at once, and not means over folds, since F1 of a handful of texts is badly biased (Forman
and Scholz 2010, "Apples-to-apples in cross-validation studies").

Folds hold about equal shares of every label; equal texts stay together.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import replace

from destila.datasets._repair import unit_labels
from destila.datasets._split import fill_splits, position
from destila.errors import ConfigError
from destila.study.planning.data import CROSS, SPLITS, Study
from destila.study.planning.encodings import Encodings
from destila.study.planning.texts import UnlabelledTexts
from destila.types import Example

SMALL = 200
"""Rows below which `init` asks for cross-validation."""

FOLDS = 5
"""How many it asks for."""


def fold_studies(study: Study) -> list[Study]:
    """Return a study for each fold, tested on it; [] where the recipe asks for none.

    Raises:
        ConfigError: the data have splits of their own, or are not classified.
    """
    count = study.recipe.folds
    if not count:
        return []
    _check(study)

    examples = [example for name in SPLITS for example in study.dataset.splits[name]]
    return [
        _without(study, number, examples, held)
        for number, held in enumerate(deal(examples, count), 1)
    ]


def with_folds(study: Study, folds: Sequence[Study]) -> Study:
    """Return the study with one more split, the texts of all folds in their order."""
    if not folds:
        return study
    every = [example for fold in folds for example in fold.dataset.splits["test"]]
    splits = {**study.dataset.splits, CROSS: every}
    return replace(study, dataset=replace(study.dataset, splits=splits))


def deal(examples: Sequence[Example], count: int) -> list[list[Example]]:
    """Divide examples into folds with about equal shares of every label.

    Raises:
        ConfigError: there are fewer different texts than folds.
    """
    groups: dict[str, list[Example]] = defaultdict(list)
    for example in examples:
        groups[example.text].append(example)
    if len(groups) < count:
        raise ConfigError(
            f"folds = {count}, but there are {len(groups)} different texts: lower it, or label more"
        )

    # Dealt out label by label, the rarest first; of several labels the rarest one speaks for all.
    frequency = Counter(label for example in examples for label in unit_labels(example))

    def rarest(text: str) -> tuple[int, str, float]:
        """Return what a group is sorted by; its hash decides among equal labels."""
        labels = {label for example in groups[text] for label in unit_labels(example)}
        return (*min(((frequency[x], x) for x in labels), default=(0, "")), position(text))

    folds: list[list[Example]] = [[] for _ in range(count)]
    for place, text in enumerate(sorted(groups, key=rarest)):
        folds[place % count] += groups[text]
    return folds


def _check(study: Study) -> None:
    """Raise ConfigError where cross-validation is not for these data."""
    recipe = study.recipe
    if not study.task.whole_example:
        raise ConfigError(
            f"folds = {recipe.folds}: cross-validation is for classification, and these data are "
            f"'{study.task.name}': set folds = 0"
        )
    is_file = isinstance(recipe.data.get("train"), str)
    own = [name for name in ("dev", "test") if recipe.data.get(name)]
    if own or not is_file:
        what = f"a {own[0]} file" if is_file else "splits of their own"
        raise ConfigError(
            f"folds = {recipe.folds}: the data have {what}, and folds are cut from a single file: "
            "set folds = 0"
        )


def _without(study: Study, number: int, examples: list[Example], held: list[Example]) -> Study:
    """Return the study that is tested on a fold and trained on the others, dev cut from them."""
    out = {example.text for example in held}
    rest = [example for example in examples if example.text not in out]
    splits = fill_splits({"train": rest, "test": held}, f"fold {number}", Counter())
    dataset = replace(study.dataset, splits=splits)

    # Its trainings lie below the study, where they go on like all others.
    name = f"fold-{number}"
    recipe = study.recipe.model_copy(
        update={
            "name": name,
            "out": str(study.recipe.folder / "folds"),
            "results": None,
            "folds": 0,
        }
    )
    encodings = Encodings(
        dataset, study.task, max_length=recipe.max_length, folder=recipe.folder / "tokenizers"
    )
    return Study(
        recipe=recipe,
        dataset=dataset,
        task=study.task,
        encodings=encodings,
        unlabelled=UnlabelledTexts(dataset),
    )
