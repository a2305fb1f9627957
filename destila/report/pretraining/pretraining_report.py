"""The report of pre-trainings: how loss, bits per character and what the model knows changed with tokens and time."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from destila.errors import DataError
from destila.files import write_text
from destila.pretraining.data.word_order import READS_ORDER
from destila.report.pretraining import pretraining_page
from destila.report.pretraining.pretraining_log import SCORES, Line, Trained, read
from destila.report.runs import LOG_FILE
from destila.report.sections import Section
from destila.report.table import laid_out
from destila.report.words import NONE, points

log = logging.getLogger(__name__)

_PLAIN = ("mlm_loss", "bits_per_character", "order_gain")  # the others are ratios
_FEW = 3  # runs of which the same is said one by one
_MOST = 12  # evaluations of a run that its table shows


def write(folder: Path, out: Path | None = None) -> list[Path]:
    """The files written: Markdown and the page beside it; without jinja2 the former alone.

    out: the Markdown file; None: report.md in the folder. Raises DataError when the folder holds no pre-training.
    """
    runs = read(folder)
    if not runs:
        raise DataError(
            f"{folder} has no {LOG_FILE} of a pre-training: 'destila pretrain RECIPE' makes one"
        )
    paths = [(out or folder / "report").with_suffix(".md")]
    write_text(paths[0], markdown(runs, folder.name))
    if find_spec("jinja2") is None:
        log.info("no page without jinja2: pip install 'destila[report]'")
    else:
        paths.append(paths[0].with_suffix(".html"))
        write_text(
            paths[1],
            pretraining_page.html(runs, folder.name, opening(runs), verdicts(runs), sections(runs)),
        )
    return paths


def markdown(runs: Sequence[Trained], name: str) -> str:
    """The report as Markdown, without the figures."""
    bullets = "\n".join(f"- {line}" for line in verdicts(runs))
    return (
        "\n\n".join([f"# {name}", opening(runs), bullets, *(laid_out(s) for s in sections(runs))])
        + "\n"
    )


def opening(runs: Sequence[Trained]) -> str:
    """How many runs, and how the numbers are to be read."""
    what = f"{len(runs)} pre-trainings" if len(runs) > 1 else "One pre-training"
    return (
        f"{what}, scored on text held out from training. Loss is in nats per masked token; bits per character can be "
        "compared between tokenizers. Order gain: nats by which the loss rises when the other words stand in a random "
        f"order; below {READS_ORDER} the model knows word frequencies and no more. Ratios are ×100. Probes: a linear "
        "layer on frozen states. Time is that of training, evaluations apart."
    )


def verdicts(runs: Sequence[Trained]) -> list[str]:
    """What can be concluded, a sentence each: who reads word order since when, which run is ahead, what went wrong."""
    bags = [
        run for run in runs if (gain := run.latest("order_gain")) is not None and gain < READS_ORDER
    ]
    together = bags if len(bags) > _FEW else []
    found = [sentence for run in runs if run not in together and (sentence := _order_sentence(run))]
    if together:
        most = max(run.latest("order_gain") or 0.0 for run in together)
        names = ", ".join(run.name for run in together)
        found.append(
            f"{len(together)} runs do not read word order in the end (order gain {most:.2f} at most): {names}."
        )
    ranked = sorted(
        (value, run.name) for run in runs if (value := run.latest("bits_per_character")) is not None
    )
    if len(ranked) > 1:
        found.append(f"Fewest bits per character in the end: {ranked[0][1]}, {ranked[0][0]:.3f}.")
    for run in runs:
        if run.events:
            found.append(f"{run.name}: left its course {_times(len(run.events))}, see the events.")
    return found


def sections(runs: Sequence[Trained]) -> list[Section]:
    """The end of every run, its evaluations on the way, its events."""
    keys = [key for key in SCORES if any(run.latest(key) is not None for run in runs)]
    ends = [
        [
            run.name,
            *_progress(run.last),
            _speed(run),
            *(_said(key, run.latest(key)) for key in keys),
        ]
        for run in runs
    ]
    header = [
        "run",
        "steps",
        "million tokens",
        "minutes",
        "tokens per second",
        *(SCORES[key] for key in keys),
    ]
    found = [Section("end", "In the end", header=header, body=ends)]
    for number, run in enumerate(runs):
        if run.evaluations:
            title = f"On the way: {run.name}" if len(runs) > 1 else "On the way"
            body = [
                [*_progress(line), *(_said(key, line.get(key)) for key in keys)]
                for line in _spread(run.evaluations)
            ]
            found.append(
                Section(f"way-{number}", title, header=[*header[1:4], *header[5:]], body=body)
            )
    told = [
        f"{run.name}, step {line['step']:,}: {line['event']}" for run in runs for line in run.events
    ]
    if told:
        found.append(Section("events", "Events", bullets=told))
    return found


def rows(runs: Sequence[Trained]) -> list[dict[str, Any]]:
    """One row per run for a terminal or a program: run, steps, tokens, seconds and its latest scores."""
    scores = {
        run.name: {key: run.latest(key) for key in SCORES if run.latest(key) is not None}
        for run in runs
    }
    progress = ("tokens", "seconds")
    return [
        {
            "run": r.name,
            "steps": r.last["step"],
            **{k: r.last[k] for k in progress},
            **scores[r.name],
        }
        for r in runs
    ]


def _order_sentence(run: Trained) -> str:
    gains = run.series("order_gain")
    if not gains:
        return ""
    tokens, gain = gains[-1]
    since = next((at for at, value in gains if value >= READS_ORDER), None)
    if since is None or gain < READS_ORDER:
        return f"{run.name}: does not read word order after {_millions(tokens)} million tokens (order gain {gain:.2f})."
    return f"{run.name}: reads word order, first seen after {_millions(since)} million tokens (order gain now {gain:.2f})."


def _progress(line: Line) -> list[str]:
    return [f"{line['step']:,}", _millions(line["tokens"]), f"{line['seconds'] / 60:,.1f}"]


def _speed(run: Trained) -> str:
    line = run.last
    return f"{line['tokens'] / line['seconds']:,.0f}" if line["seconds"] > 0 else NONE


def _said(key: str, value: float | None) -> str:
    if value is None:
        return NONE
    return f"{value:.3f}" if key in _PLAIN else points(value)


def _millions(tokens: float) -> str:
    return f"{tokens / 1e6:,.2f}"


def _times(number: int) -> str:
    return "once" if number == 1 else f"{number} times"


def _spread(lines: Sequence[Line]) -> list[Line]:
    """The first line, the last one and some between."""
    if len(lines) <= _MOST:
        return list(lines)
    return [lines[round(i * (len(lines) - 1) / (_MOST - 1))] for i in range(_MOST)]
