"""`destila pick`: of a study's models the best one within a budget, its folder copied, and why each other one lost.

A model is a row of the report: the mean score over its seeds, the latency of protocol "real" over those timed, the
bytes on disk. Ties go to the faster, then to the smaller. Baselines take no part: they have no model folder.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from destila.config import Options, opt
from destila.errors import ConfigError
from destila.files import write_text
from destila.inference import exported
from destila.measuring.latency import REAL
from destila.report import card, runs
from destila.report.find import find
from destila.report.rows import Row, rows
from destila.report.tradeoff import best_baseline, name_of
from destila.report.words import name as name_of_score
from destila.types import Record

_ROLES = ("teacher", "distilled", "finetuned", "exported")
_UNTIMED = float("inf")


class Config(Options):
    """A study and the budget."""

    study: str = opt(
        ...,
        "a study's folder or name (runs/NAME), or a .jsonl file of records (results/NAME.jsonl)",
    )
    max_ms: float | None = opt(
        None, "most milliseconds per text: median on real texts, batch 1", gt=0
    )
    max_mb: float | None = opt(None, "most MB (10^6 bytes) on disk", gt=0)
    min_score: float | None = opt(None, "least main score, a ratio: 0.75", ge=0, le=1)
    out: str | None = opt(None, "folder to copy the model to; none = ./STUDY-RUN")
    copy_folder: bool = opt(True, "copy the model's folder")


@dataclass(frozen=True, slots=True)
class Candidate:
    """A row as the budget sees it; ms is infinite where it was not timed."""

    row: Row
    score: float
    ms: float
    mb: float

    @property
    def order(self) -> tuple[float, float, float]:
        """Best first: score (to a millionth, so that means in another order tie), then latency, then size."""
        return (-round(self.score, 6), self.ms, self.mb)


def run(config: Config) -> dict[str, Any]:
    """Picks and copies; the result has study, winner, out, lost, lines (see docs/reference/json.md).

    Raises ConfigError when there is no such study, nothing was timed though `max_ms` asks for it, nothing is within
    the budget (it says what is nearest), the winner's folder is not here, or `out` exists or cannot be written.
    """
    found = find(config.study, Path(config.out).parent if config.out else None)
    every = rows(found.records)
    candidates = sorted(
        (_candidate(row) for row in every if row.role in _ROLES), key=lambda c: c.order
    )
    if not candidates:
        raise ConfigError(
            f"study '{found.name}' has no model to pick: only {', '.join(sorted({r.role for r in every}))}"
        )
    if config.max_ms is not None and all(c.ms == _UNTIMED for c in candidates):
        raise ConfigError(
            f"study '{found.name}' has no latency of protocol '{REAL}', so --max-ms {config.max_ms:g} cannot be judged: "
            "leave it out, or measure with texts under [measure]"
        )
    within = [c for c in candidates if not _broken(c, config)]
    if not within:
        raise ConfigError(_infeasible(candidates, config, found.name))
    winner = within[0]
    record = _best_seed(winner.row, found.records)
    out = Path(config.out or f"{found.name}-{record.run}") if config.copy_folder else None
    if out is not None:
        _copy(_folder(found.folder, record, found.name), out, record, winner.row)
    lost = [{**_told(c), "why": _why(c, winner, config)} for c in candidates if c is not winner]
    shown = _told(winner) | {
        "run": record.run,
        "seed": record.seed,
        "seeds": list(winner.row.seeds),
    }
    lines = _lines(winner, record, out, every)
    return {
        "study": found.name,
        "winner": shown,
        "out": str(out) if out else None,
        "lost": lost,
        "lines": lines,
    }


def _candidate(row: Row) -> Candidate:
    latency = row.latency(REAL)
    return Candidate(
        row, row.main, latency.median_ms if latency else _UNTIMED, row.first.size_bytes / 1e6
    )


def _broken(c: Candidate, config: Config) -> list[tuple[str, str, float]]:
    """(limit, how, by how much of the limit) of every limit that a candidate breaks."""
    found = []
    if config.max_ms is not None and c.ms > config.max_ms:
        how = (
            "not timed"
            if c.ms == _UNTIMED
            else f"{_digits(c.ms, config.max_ms)} ms > {config.max_ms:g} ms"
        )
        found.append(("latency", how, c.ms / config.max_ms - 1))
    if config.max_mb is not None and c.mb > config.max_mb:
        found.append(
            (
                "size",
                f"{_digits(c.mb, config.max_mb)} MB > {config.max_mb:g} MB",
                c.mb / config.max_mb - 1,
            )
        )
    if config.min_score is not None and c.score < config.min_score:
        how = f"score {_digits(c.score, config.min_score)} < {config.min_score:g}"
        found.append(("score", how, 1 - c.score / config.min_score))
    return found


def _digits(value: float, limit: float) -> str:
    """The value with as many digits as tell it from the limit, at least two significant ones."""
    return next(text for digits in range(2, 18) if float(text := f"{value:.{digits}g}") != limit)


def _infeasible(candidates: Sequence[Candidate], config: Config, study: str) -> str:
    """What is nearest (its worst excess over a limit, as a share of the limit, is the least) and where it fails."""
    nearest = min(candidates, key=lambda c: (max(by for _, _, by in _broken(c, config)), c.order))
    broken = _broken(nearest, config)
    return (
        f"no model of study '{study}' is within the budget: nearest is {name_of(nearest.row)}, which fails on "
        f"{' and '.join(limit for limit, _, _ in broken)} ({'; '.join(how for _, how, _ in broken)}). Relax that limit, "
        "or train or export a smaller model"
    )


def _why(c: Candidate, winner: Candidate, config: Config) -> str:
    broken = _broken(c, config)
    if broken:
        return "; ".join(how for _, how, _ in broken)
    behind = 100 * (winner.score - c.score)
    if c.order[0] != winner.order[0]:
        return (
            f"within budget, {behind:.1f} points lower"
            if behind >= 0.05
            else f"within budget, {behind:.2g} points lower"
        )
    if c.ms != winner.ms:
        slower = (
            "not timed" if c.ms == _UNTIMED else f"slower: {c.ms:.3g} ms against {winner.ms:.3g} ms"
        )
        return f"within budget, same score, {slower}"
    return f"within budget, same score and latency, {c.mb:.3g} MB against {winner.mb:.3g} MB"


def _told(c: Candidate) -> dict[str, Any]:
    ms = None if c.ms == _UNTIMED else c.ms
    return {
        "model": c.row.model,
        "role": c.row.role,
        "score": c.score,
        "latency_ms": ms,
        "size_mb": round(c.mb, 3),
    }


def _lines(winner: Candidate, record: Record, out: Path | None, every: Sequence[Row]) -> list[str]:
    row, baseline = winner.row, best_baseline(every)
    time = "not timed" if winner.ms == _UNTIMED else f"{winner.ms:.2f} ms"
    score = name_of_score(row.first.main)
    lines = [f"picked: {name_of(row)}, {score} {winner.score:.4f}, {time}, {winner.mb:.2f} MB"]
    if len(row.seeds) > 1:
        lines.append(
            f"score: mean of seeds {', '.join(map(str, row.seeds))}; taken: seed {record.seed}, the best on dev"
        )
    if len(row.seeds) > 1 and any(not r.latency for r in row.records) and winner.ms != _UNTIMED:
        timed = [str(r.seed) for r in row.records if r.latency]
        lines.append(
            f"latency: of seed {', '.join(timed)}, the only one timed"
            if len(timed) == 1
            else "latency: of the seeds timed"
        )
    if baseline is not None and baseline.main > winner.score:
        lines.append(
            f"note: the baseline {baseline.model} scores {baseline.main:.4f}, more than the model picked"
        )
    if out is not None:
        lines.append(f"model folder: {out}")
    return lines


def _best_seed(row: Row, known: Sequence[Record]) -> Record:
    """The record with the best dev score, the lowest seed of equal ones; the first where none tells its dev score.

    An exported model has the dev score of the run it was made of.
    """
    main = row.first.main
    dev = {
        r.run: r.details["dev"][main]
        for r in known
        if r.role != "exported" and main in r.details.get("dev", {})
    }
    return max(
        row.records, key=lambda r: (dev.get(r.run, dev.get(r.details.get("of", ""), -1.0)), -r.seed)
    )


def _folder(folder: Path | None, record: Record, study: str) -> Path:
    places = runs.model_folders(folder or Path("runs") / study, record)
    found = next((place for place in places if place.is_dir()), None)
    if found is None:
        raise ConfigError(
            f"picked {record.run}, but its model folder is not here: looked at {', '.join(map(str, places))}. "
            "Give the study's folder, or --no-copy to be told the winner only"
        )
    wanted = record.details.get("candidate")
    if (found / exported.FACTS).is_file() and (runs_now := exported.choose_graph(found).name) != wanted:
        raise ConfigError(
            f"picked {record.run} as '{wanted}', but {found} now runs '{runs_now}': export it again with --kinds {wanted}"
        )
    return found


def _copy(source: Path, out: Path, record: Record, row: Row) -> None:
    """Copies a model folder with a model card to `out`, whole or not at all."""
    if out.exists():
        raise ConfigError(f"{out} exists already: give another folder with --out, or remove it")
    partial = out.with_name(f".{out.name}.{os.getpid()}.tmp")
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        shutil.copytree(source, partial)
        if not (partial / card.CARD_FILE).exists():
            write_text(partial / card.CARD_FILE, _card(partial, out.name, record, row))
        partial.rename(out)
    except (OSError, shutil.Error) as error:
        raise ConfigError(
            f"cannot copy {source} to {out}: {error}; give another place with --out"
        ) from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _card(folder: Path, title: str, record: Record, row: Row) -> str:
    """The card of a copied model; where its own seed was not timed, with the times of the seed that was."""
    timed = next((r for r in row.records if r.latency), None)
    if record.latency or timed is None:
        return card.card(card.describe(folder, title, record))
    note = f"Latency was measured on seed {timed.seed}, which has the same architecture."
    return card.card(
        card.describe(folder, title, replace(record, latency=timed.latency), notes=[note])
    )
