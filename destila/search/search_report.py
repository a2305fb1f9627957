"""The report of a search: the best against the recipe as it was, what mattered, every trial."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import optuna
from optuna.trial import TrialState

from destila.files import write_text
from destila.report.differences.intervals import paired_difference
from destila.report.page import NO_PAGE, can_draw, render, section_values
from destila.report.section import Section
from destila.report.table import section_markdown
from destila.report.words import NONE, points, signed
from destila.search.parallel_figure import TrialAxis, parallel
from destila.search.train_trial import TrialResult, TrialTrainer
from destila.search.trials import ERROR, NAME, REPEATS
from destila.study.recording import evaluate_folder

log = logging.getLogger(__name__)

_FEWEST = 4
"""Finished trials from which the importance of a key can be estimated."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchReport:
    """Where the report is, and what it says in a few lines."""

    path: Path
    lines: tuple[str, ...]


def write_search_report(
    trainer: TrialTrainer, trials: optuna.Study, results: Sequence[TrialResult]
) -> SearchReport:
    """Write `search.md` and, where jinja2 is installed, the page beside it.

    Args:
        trainer: of the recipe that was searched.
        trials: of the store.
        results: finished trials, the best first.
    """
    folder, name = trainer.recipe.folder, trainer.recipe.name
    lines = [_best_line(trainer, results[0]), _default_line(trainer, results)]
    sections = [_importance(trials), _table(trainer, results), _unfinished(trials)]
    shown = [section for section in sections if section is not None]
    opening = (
        f"{len(results)} trials of the student "
        f"'{trainer.trial_recipe({}).students[0].label}' ({trainer.method}), compared by their "
        f"{'dev loss' if trainer.criterion == 'loss' else 'main score on dev'}."
    )

    # The Markdown does not wait for the optional package.
    path = folder / "search.md"
    bullets = "\n".join(f"- {line}" for line in lines)
    parts = [f"# {name}: search", opening, bullets, *(section_markdown(each) for each in shown)]
    write_text(path, "\n\n".join(parts) + "\n")
    if not can_draw():
        log.info(NO_PAGE)
        return SearchReport(path=path, lines=tuple(lines))

    values = {
        "name": name,
        "kind": "search",
        "opening": opening,
        "verdicts": lines,
        "legend": [],
        "events": False,
        "panels": [_panel(trainer, results)],
        "sections": [section_values(section) for section in shown],
    }
    write_text(path.with_suffix(".html"), render("figures.html", values))
    return SearchReport(path=path, lines=tuple(lines))


def _best_line(trainer: TrialTrainer, best: TrialResult) -> str:
    """Say which values are the best."""
    return f"Best: {_in_words(best.values)}, {_value(trainer, best.value)} on dev."


def _default_line(trainer: TrialTrainer, results: Sequence[TrialResult]) -> str:
    """Say how far the best is from the recipe as it was, with the interval of the difference."""
    best, default = results[0], trainer.result({})
    if default is None or trainer.folder(best.values) == trainer.folder({}):
        return "The recipe as it was is the best."

    # Both are scored on dev again, item by item: the interval pairs the items.
    items = []
    for values in (best.values, {}):
        study = trainer.study(values)
        plans = trainer.plans(study)
        folders = [str(plan.folder / "best") for plan in plans]
        items.append([evaluate_folder(study, each, "dev").items for each in folders])
    mean, low, high = paired_difference(items[0], items[1], study.main)
    return (
        f"Against the recipe as it was: {signed(mean)} points of {study.main} on dev "
        f"[{signed(low)}, {signed(high)}]. The best of many trials is also the luckiest: its score "
        "on test says what it is worth."
    )


def _importance(trials: optuna.Study) -> Section | None:
    """Rank the keys by how much the values of good trials differ from those of all."""
    done = trials.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    differing = len({trial.value for trial in done}) > 1
    if len(done) < _FEWEST or not differing:
        return None

    # Watanabe et al. 2023: densities of the best trials against those of all.
    evaluator = optuna.importance.PedAnovaImportanceEvaluator()
    shares = optuna.importance.get_param_importances(trials, evaluator=evaluator)
    body = [[key, f"{100 * share:.0f} %"] for key, share in shares.items()]
    return Section(
        "importance",
        "What mattered",
        header=("key", "importance"),
        body=body,
        notes="Shares by PED-ANOVA (Watanabe et al. 2023): how much the best trials' values of a "
        "key differ from those of all.",
    )


def _table(trainer: TrialTrainer, results: Sequence[TrialResult]) -> Section:
    """List every finished trial, the best first."""
    keys = list(trainer.options.space)
    scores = list(results[0].dev)
    header = (*keys, *scores, "dev loss", "minutes")
    body = [
        [
            *(_cell(result.values.get(key)) for key in keys),
            *(points(result.dev[score]) for score in scores),
            f"{result.dev_loss:.4f}",
            f"{result.seconds / 60:.1f}",
        ]
        for result in results
    ]
    unchanged = any(not result.values for result in results)
    note = f"{NONE}: the recipe's own value." if unchanged else ""
    return Section("trials", "Trials", header=header, body=body, notes=note)


def _unfinished(trials: optuna.Study) -> Section | None:
    """Tell of trials that were stopped early or could not be done."""
    pruned = trials.get_trials(deepcopy=False, states=(TrialState.PRUNED,))
    own = [each for each in pruned if NAME in each.user_attrs and REPEATS not in each.user_attrs]
    failed = [trial for trial in own if ERROR in trial.user_attrs]
    if not own:
        return None

    bullets = [f"{_in_words(trial.params)}: {trial.user_attrs[ERROR]}" for trial in failed]
    early = len(own) - len(failed)
    if early:
        bullets.insert(0, f"{early} were behind the median of the others and stopped early.")
    return Section("unfinished", "Trials without a result", bullets=bullets)


def _panel(trainer: TrialTrainer, results: Sequence[TrialResult]) -> dict[str, str]:
    """Draw every trial as a line over the keys and its value."""
    last = "dev loss" if trainer.criterion == "loss" else "dev score ×100"
    factor = 1 if trainer.criterion == "loss" else 100
    whole = [result for result in results if result.values]
    axes = [
        TrialAxis(key, [result.values[key] for result in whole]) for key in trainer.options.space
    ]
    axes.append(TrialAxis(last, [factor * result.value for result in whole]))
    svg = parallel(axes, best=0, title=f"{len(whole)} trials over the searched keys")
    caption = "The best one is drawn strong."
    return {"svg": svg, "title": "Trials", "caption": caption}


def _in_words(values: Mapping[str, Any]) -> str:
    """Return values as `train.lr = 0.0001, train.epochs = 3`."""
    return ", ".join(f"{key} = {value}" for key, value in values.items()) or "the recipe as it was"


def _cell(value: Any) -> str:
    """Return a value as a cell; a dash where a trial has none of its own."""
    return NONE if value is None else f"{value:g}" if isinstance(value, float) else str(value)


def _value(trainer: TrialTrainer, value: float) -> str:
    """Return what trials are compared by, in words."""
    return f"dev loss {value:.4f}" if trainer.criterion == "loss" else f"main score {points(value)}"
