"""Of a study's models the best one within a budget, its folder, and why each other one lost.

A model is a row of the report: the mean score over its seeds, the latency of protocol "real" over
those timed, the bytes on disk. Ties go to the faster, then to the smaller. Baselines take no part:
they have no model folder.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from destila.errors import ConfigError
from destila.files import write_text
from destila.inference import exported
from destila.measuring.latency import REAL
from destila.measuring.load import timing_doubt
from destila.records import Record
from destila.report import card, runs
from destila.report.differences.verdict import Verdict, judge
from destila.report.drawing.tradeoff import best_baseline
from destila.report.rows import ReportRow, name_of
from destila.report.words import points
from destila.report.words import score_name as name_of_score

_ROLES = ("teacher", "distilled", "finetuned", "exported")
_UNTIMED = float("inf")


@dataclass(frozen=True, slots=True, kw_only=True)
class BrokenLimit:
    """A limit that a model breaks: its name, how in words, and by what share of the limit."""

    limit: str
    how: str
    excess: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Contender:
    """A row of the report as a budget sees it; `ms` is infinite where it was not timed.

    verdict: of a student, or of what was exported of one; None for a teacher.
    """

    row: ReportRow
    score: float
    ms: float
    mb: float
    verdict: Verdict | None = None

    @property
    def order(self) -> tuple[float, float, float]:
        """Best first: score (to a millionth, so that sums in another order tie), latency, size."""
        return (-round(self.score, 6), self.ms, self.mb)

    def facts(self) -> dict[str, Any]:
        """Return what the result of `destila pick` says about this model."""
        return {
            "model": self.row.model,
            "role": self.row.role,
            "score": self.score,
            "latency_ms": None if self.ms == _UNTIMED else self.ms,
            "size_mb": round(self.mb, 3),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """The most milliseconds per text, the most MB on disk, the least main score; None: no limit.

    any_student: also a student whose twin, fine-tuned without the teacher, has the better score.
    """

    max_ms: float | None = None
    max_mb: float | None = None
    min_score: float | None = None
    any_student: bool = False

    def broken(self, model: Contender) -> list[BrokenLimit]:
        """Return every limit that a model breaks."""
        limits = []

        # A model that was not timed may be too slow, so it breaks any limit.
        if self.max_ms is not None and model.ms > self.max_ms:
            how = f"{_digits(model.ms, self.max_ms)} ms > {self.max_ms:g} ms"
            how = "not timed" if model.ms == _UNTIMED else how
            limits.append(BrokenLimit(limit="latency", how=how, excess=model.ms / self.max_ms - 1))

        if self.max_mb is not None and model.mb > self.max_mb:
            how = f"{_digits(model.mb, self.max_mb)} MB > {self.max_mb:g} MB"
            limits.append(BrokenLimit(limit="size", how=how, excess=model.mb / self.max_mb - 1))

        if self.min_score is not None and model.score < self.min_score:
            how = f"score {_digits(model.score, self.min_score)} < {self.min_score:g}"
            excess = 1 - model.score / self.min_score
            limits.append(BrokenLimit(limit="score", how=how, excess=excess))

        # A student that is better without its teacher is not what anybody asked for.
        behind = model.verdict.behind_twin if model.verdict and not self.any_student else 0.0
        if behind > 0:
            how = f"{100 * behind:.2g} points below its twin without a teacher"
            limits.append(BrokenLimit(limit="twin", how=how, excess=behind))

        return limits


@dataclass(frozen=True, slots=True, kw_only=True)
class Picked:
    """The model that won: its record (of the best seed on dev), and all contenders, best first."""

    winner: Contender
    record: Record
    contenders: Sequence[Contender]
    budget: Budget

    def lost(self) -> list[dict[str, Any]]:
        """Return the facts of every other model, with `why` it was not picked."""
        others = [model for model in self.contenders if model is not self.winner]
        return [{**model.facts(), "why": self._why(model)} for model in others]

    def _why(self, model: Contender) -> str:
        """Return why a model lost: a limit first, then score, then what ties are decided by."""
        winner = self.winner
        if broken := self.budget.broken(model):
            return "; ".join(limit.how for limit in broken)

        if model.order[0] != winner.order[0]:
            points = 100 * (winner.score - model.score)
            digits = f"{points:.1f}" if points >= 0.05 else f"{points:.2g}"
            return f"within budget, {digits} points lower"

        if model.ms == winner.ms:
            sizes = f"{model.mb:.3g} MB against {winner.mb:.3g} MB"
            return f"within budget, same score and latency, {sizes}"
        if model.ms == _UNTIMED:
            return "within budget, same score, not timed"
        return f"within budget, same score, slower: {model.ms:.3g} ms against {winner.ms:.3g} ms"


def pick(
    rows: Sequence[ReportRow], records: Sequence[Record], budget: Budget, study: str
) -> Picked:
    """Return the best model within a budget.

    Args:
        rows: of the report.
        records: of the study, from which the seed is taken.
        budget: what the model may cost.
        study: its name, for messages.

    Raises:
        ConfigError: there is no model, nothing was timed though `max_ms` asks for it, or nothing is
            within the budget; the message says what is nearest.
    """
    # Best first, so that the first one within the budget wins.
    contenders = sorted(
        (_contender(row, rows) for row in rows if row.role in _ROLES), key=lambda model: model.order
    )
    if not contenders:
        roles = ", ".join(sorted({row.role for row in rows}))
        raise ConfigError(f"study '{study}' has no model to pick: only {roles}")
    if budget.max_ms is not None and all(model.ms == _UNTIMED for model in contenders):
        raise ConfigError(
            f"study '{study}' has no latency of protocol '{REAL}', so --max-ms {budget.max_ms:g} "
            "cannot be judged: leave it out, or measure with texts under [measure]"
        )

    # Seeds count as one model; of the winner's, one folder is taken.
    winner = next((model for model in contenders if not budget.broken(model)), None)
    if winner is None:
        raise ConfigError(_infeasible(contenders, budget, study))
    record = _best_seed(winner.row, records)
    return Picked(winner=winner, record=record, contenders=contenders, budget=budget)


def summary(
    picked: Picked, rows: Sequence[ReportRow], out: Path | None, recipe: str = "RECIPE"
) -> list[str]:
    """Return the lines that a terminal shows of a pick.

    Args:
        picked: the winner.
        rows: of the report, with baselines.
        out: the folder that the model was copied to; None: it was not.
        recipe: that times the models again.
    """
    winner, row, record = picked.winner, picked.winner.row, picked.record
    time = "not timed" if winner.ms == _UNTIMED else f"{winner.ms:.2f} ms"
    score = f"{name_of_score(row.first.main)} {points(winner.score)}"
    lines = [f"picked: {name_of(row)}, {score}, {time}, {winner.mb:.2f} MB"]

    # A mean over seeds is not the score of the folder that is taken.
    if len(row.seeds) > 1:
        seeds = ", ".join(map(str, row.seeds))
        lines.append(f"score: mean of seeds {seeds}; taken: seed {record.seed}, the best on dev")
    if len(row.seeds) > 1 and any(not r.latency for r in row.records) and winner.ms != _UNTIMED:
        timed = [str(r.seed) for r in row.records if r.latency]
        one = f"latency: of seed {', '.join(timed)}, the only one timed"
        lines.append(one if len(timed) == 1 else "latency: of the seeds timed")

    # A time of a busy machine is no promise.
    doubt = next((doubt for r in row.records if (doubt := timing_doubt(r))), "")
    if doubt:
        lines.append(f"note: its time is doubtful ({doubt}): destila run {recipe} --time-again")

    # Honest: the same student without a teacher, or what needs no neural model, may be better.
    if winner.verdict is not None:
        lines.append(winner.verdict.sentence())
    baseline = best_baseline(rows)
    if baseline is not None and baseline.main > winner.score:
        lines.append(
            f"note: the baseline {baseline.model} scores {points(baseline.main)}, "
            "more than the model picked"
        )
    if out is not None:
        lines.append(f"model folder: {out}")
    return lines


def copy_model(picked: Picked, source: Path, out: Path) -> None:
    """Copy the folder of the model picked to `out` and add a model card.

    Raises:
        ConfigError: `out` exists already or cannot be written.
    """
    copy_folder(source, out, lambda copied: _card(copied, out.name, picked))


def copy_folder(source: Path, out: Path, card_of: Callable[[Path], str]) -> None:
    """Copy a model folder to `out` and add a model card, whole or not at all.

    Args:
        source: the folder.
        out: the folder to be.
        card_of: writes the card of the copy, where it has none.

    Raises:
        ConfigError: `out` exists already or cannot be written.
    """
    if out.exists():
        raise ConfigError(f"{out} exists already: give another folder with --out, or remove it")

    # Copied beside its place and renamed: a kill leaves no half model there.
    partial = out.with_name(f".{out.name}.{os.getpid()}.tmp")
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        shutil.copytree(source, partial)
        if not (partial / card.CARD_FILE).exists():
            write_text(partial / card.CARD_FILE, card_of(partial))
        partial.rename(out)
    except (OSError, shutil.Error) as error:
        raise ConfigError(
            f"cannot copy {source} to {out}: {error}; give another place with --out"
        ) from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def folder_of(record: Record, folder: Path) -> Path:
    """Return the folder of a recorded model below the study's folder.

    Raises:
        ConfigError: it is not there, or an exported folder runs another graph by now.
    """
    # A study may have been moved since, or its runs removed.
    places = runs.model_folders(folder, record)
    source = next((place for place in places if place.is_dir()), None)
    if source is None:
        looked = ", ".join(map(str, places))
        raise ConfigError(
            f"picked {record.run}, but its model folder is not here: looked at {looked}. "
            "Give the study's folder, or --no-copy to be told the winner only"
        )

    # An export may have been made again since it was tested, with another graph in front.
    tested = record.details.get("candidate")
    if (source / exported.FACTS).is_file():
        current = exported.choose_graph(source).name
        if current != tested:
            raise ConfigError(
                f"picked {record.run} as '{tested}', but {source} now runs '{current}': "
                f"export it again with --kinds {tested}"
            )
    return source


def _contender(row: ReportRow, rows: Sequence[ReportRow]) -> Contender:
    """Return a row with the figures that a budget limits, and how it does beside its twin."""
    latency = row.latency(REAL)
    ms = latency.median_ms if latency else _UNTIMED
    mb, verdict = row.first.size_bytes / 1e6, judge(row.first, rows)
    return Contender(row=row, score=row.main, ms=ms, mb=mb, verdict=verdict)


def _digits(value: float, limit: float) -> str:
    """Return a value with as many digits as tell it from a limit, at least two significant ones."""
    texts = (f"{value:.{digits}g}" for digits in range(2, 18))
    return next(text for text in texts if float(text) != limit)


def _infeasible(contenders: Sequence[Contender], budget: Budget, study: str) -> str:
    """Return what is nearest to a budget that no model meets, and where it fails.

    Nearest is the model whose worst excess over a limit, as a share of the limit, is the least.
    """

    def distance(model: Contender) -> tuple[float, tuple[float, float, float]]:
        return max(limit.excess for limit in budget.broken(model)), model.order

    nearest = min(contenders, key=distance)
    broken = budget.broken(nearest)
    limits = " and ".join(limit.limit for limit in broken)
    details = "; ".join(limit.how for limit in broken)

    # A student that only its twin keeps out can be taken all the same.
    remedy = "Relax that limit, or train or export a smaller model"
    if limits == "twin":
        remedy = "--any takes it all the same"
    return (
        f"no model of study '{study}' is within the budget: nearest is {name_of(nearest.row)}, "
        f"which fails on {limits} ({details}). {remedy}"
    )


def _best_seed(row: ReportRow, records: Sequence[Record]) -> Record:
    """Return the record with the best dev score, the lowest seed of equal ones.

    The first one where none tells its dev score. An exported model has the dev score of the run it
    was made of.
    """
    # Dev decides, never test: the test score is what is promised to a user.
    main = row.first.main
    trained = [record for record in records if record.role != "exported"]
    dev = {r.run: r.details["dev"][main] for r in trained if main in r.details.get("dev", {})}

    def rank(record: Record) -> tuple[float, int]:
        source = dev.get(record.details.get("of", ""), -1.0)
        return dev.get(record.run, source), -record.seed

    return max(row.records, key=rank)


def _card(folder: Path, title: str, picked: Picked) -> str:
    """Return the card of a copied model.

    Where its own seed was not timed, it has the times of the seed that was.
    """
    # The cost is measured on one seed, since it does not depend on it.
    record = picked.record
    verdict = picked.winner.verdict.sentence() if picked.winner.verdict else ""
    timed = next((r for r in picked.winner.row.records if r.latency), None)
    if record.latency or timed is None:
        return card.model_card(card.describe_folder(folder, title, record, verdict=verdict))

    note = f"Latency was measured on seed {timed.seed}, which has the same architecture."
    shown = replace(record, latency=timed.latency)
    info = card.describe_folder(folder, title, shown, notes=[note], verdict=verdict)
    return card.model_card(info)
