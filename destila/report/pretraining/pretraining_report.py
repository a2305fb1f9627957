"""The report of pre-trainings: how scores and losses changed with tokens and time."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from destila.errors import DataError
from destila.files import write_text
from destila.pretraining.data.word_order import READS_ORDER
from destila.report.page import NO_PAGE, can_draw
from destila.report.pretraining import pretraining_page
from destila.report.pretraining.pretraining_log import (
    PRETRAIN_SCORES,
    LogLine,
    PretrainLog,
    read_pretrain_logs,
)
from destila.report.runs import LOG_FILE
from destila.report.section import Section
from destila.report.table import section_markdown
from destila.report.words import NONE, points

log = logging.getLogger(__name__)

_PLAIN = ("mlm_loss", "bits_per_character", "order_gain")  # the others are ratios
_FEW = 3  # runs of which the same is said one by one
_MOST = 12  # evaluations of a run that its table shows


def write_pretrain_report(folder: Path, out: Path | None = None) -> list[Path]:
    """Write the Markdown and, where jinja2 is installed, the page beside it.

    Args:
        folder: of a pre-training, or of several.
        out: the Markdown file; None = report.md in the folder.

    Returns:
        The files written.

    Raises:
        DataError: the folder holds no pre-training.
    """
    runs = read_pretrain_logs(folder)
    if not runs:
        raise DataError(
            f"{folder} has no {LOG_FILE} of a pre-training: 'destila pretrain RECIPE' makes one"
        )

    # The Markdown does not wait for the optional package.
    path = (out or folder / "report").with_suffix(".md")
    write_text(path, pretrain_markdown(runs, folder.name))
    if not can_draw():
        log.info(NO_PAGE)
        return [path]

    page = path.with_suffix(".html")
    html = pretraining_page.pretrain_html(
        runs, folder.name, pretrain_opening(runs), pretrain_verdicts(runs), pretrain_sections(runs)
    )
    write_text(page, html)
    return [path, page]


def pretrain_markdown(runs: Sequence[PretrainLog], name: str) -> str:
    """Write the report as Markdown, without the figures."""
    bullets = "\n".join(f"- {line}" for line in pretrain_verdicts(runs))
    sections = [section_markdown(section) for section in pretrain_sections(runs)]
    return "\n\n".join([f"# {name}", pretrain_opening(runs), bullets, *sections]) + "\n"


def pretrain_opening(runs: Sequence[PretrainLog]) -> str:
    """Tell how many runs there are, and how their numbers are to be read."""
    what = f"{len(runs)} pre-trainings" if len(runs) > 1 else "One pre-training"
    return (
        f"{what}, scored on text held out from training. Loss is in nats per masked token; bits "
        "per character can be compared between tokenizers. Order gain: nats by which the loss "
        "rises when the other words stand in a random order; below "
        f"{READS_ORDER} the model knows word frequencies and no more. Ratios are ×100. Probes: a "
        "linear layer on frozen states. Time is that of training, evaluations apart."
    )


def pretrain_verdicts(runs: Sequence[PretrainLog]) -> list[str]:
    """State what can be concluded: who reads word order, which run is ahead, what went wrong."""
    # Many runs that stay on the plateau are named in one sentence.
    bags = []
    for run in runs:
        gain = run.latest("order_gain")
        if gain is not None and gain < READS_ORDER:
            bags.append(run)
    together = bags if len(bags) > _FEW else []
    alone = [_order_sentence(run) for run in runs if run not in together]
    sentences = [sentence for sentence in alone if sentence]
    if together:
        most = max(run.latest("order_gain") or 0.0 for run in together)
        names = ", ".join(run.name for run in together)
        sentences.append(
            f"{len(together)} runs do not read word order in the end "
            f"(order gain {most:.2f} at most): {names}."
        )

    # Which run predicts best.
    ends = [(run.latest("bits_per_character"), run.name) for run in runs]
    ranked = sorted((bits, name) for bits, name in ends if bits is not None)
    if len(ranked) > 1:
        bits, name = ranked[0]
        sentences.append(f"Fewest bits per character in the end: {name}, {bits:.3f}.")

    for run in runs:
        if run.events:
            number = len(run.events)
            times = "once" if number == 1 else f"{number} times"
            sentences.append(f"{run.name}: left its course {times}, see the events.")
    return sentences


def pretrain_sections(runs: Sequence[PretrainLog]) -> list[Section]:
    """Show the end of every run, its evaluations on the way, its events."""
    keys = [key for key in PRETRAIN_SCORES if any(run.latest(key) is not None for run in runs)]
    titles = [PRETRAIN_SCORES[key] for key in keys]
    progress = ["steps", "million tokens", "minutes"]

    ends = []
    for run in runs:
        cells = [_cell(key, run.latest(key)) for key in keys]
        ends.append([run.name, *_progress(run.last), _speed(run), *cells])

    # How far each run came, side by side.
    header = ["run", *progress, "tokens per second", *titles]
    sections = [Section("end", "In the end", header=header, body=ends)]

    for number, run in enumerate(runs):
        if not run.evaluations:
            continue
        title = f"On the way: {run.name}" if len(runs) > 1 else "On the way"
        body = []
        for line in _spread(run.evaluations):
            body.append([*_progress(line), *(_cell(key, line.get(key)) for key in keys)])
        sections.append(Section(f"way-{number}", title, header=[*progress, *titles], body=body))

    events = []
    for run in runs:
        events += [f"{run.name}, step {line['step']:,}: {line['event']}" for line in run.events]
    if events:
        sections.append(Section("events", "Events", bullets=events))
    return sections


def pretrain_rows(runs: Sequence[PretrainLog]) -> list[dict[str, Any]]:
    """Return one row per run for a terminal or a program.

    Keys: run, steps, tokens, seconds, and the latest scores that were measured.
    """
    rows = []
    for run in runs:
        # The last value of each score, which may be of an earlier evaluation.
        latest = {key: run.latest(key) for key in PRETRAIN_SCORES}
        last = run.last
        rows.append(
            {
                "run": run.name,
                "steps": last["step"],
                "tokens": last["tokens"],
                "seconds": last["seconds"],
                **{key: value for key, value in latest.items() if value is not None},
            }
        )
    return rows


def _order_sentence(run: PretrainLog) -> str:
    """Tell whether a run reads word order; "" when that was never measured."""
    gains = run.series("order_gain")
    if not gains:
        return ""
    tokens, gain = gains[-1]

    # A run may read order for a while and lose it again.
    since = next((at for at, value in gains if value >= READS_ORDER), None)
    if since is None or gain < READS_ORDER:
        return (
            f"{run.name}: does not read word order after {_millions(tokens)} million tokens "
            f"(order gain {gain:.2f})."
        )
    return (
        f"{run.name}: reads word order, first seen after {_millions(since)} million tokens "
        f"(order gain now {gain:.2f})."
    )


def _progress(line: LogLine) -> list[str]:
    """Format steps, million tokens and minutes."""
    return [f"{line['step']:,}", _millions(line["tokens"]), f"{line['seconds'] / 60:,.1f}"]


def _speed(run: PretrainLog) -> str:
    """Format the mean tokens per second; a dash before any time has gone by."""
    line = run.last
    return f"{line['tokens'] / line['seconds']:,.0f}" if line["seconds"] > 0 else NONE


def _cell(key: str, value: float | None) -> str:
    """Format a score: ratios as points, the others as they are, a dash for None."""
    if value is None:
        return NONE
    return f"{value:.3f}" if key in _PLAIN else points(value)


def _millions(tokens: float) -> str:
    """Format tokens in millions."""
    return f"{tokens / 1e6:,.2f}"


def _spread(lines: Sequence[LogLine]) -> list[LogLine]:
    """Return the first line, the last one and some between."""
    if len(lines) <= _MOST:
        return list(lines)
    return [lines[round(i * (len(lines) - 1) / (_MOST - 1))] for i in range(_MOST)]
