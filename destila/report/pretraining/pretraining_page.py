"""The page of pre-trainings: figures and the tables of their report, in one HTML file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from destila.report.drawing import figure
from destila.report.drawing.figure import Curve
from destila.report.page import render, section_values
from destila.report.pretraining.pretraining_log import PretrainLog
from destila.report.section import Section

_COLOURS = 6  # classes s0 to s5 of page.css
_PARTS = 80  # of a curve of training steps; single steps are noise
_MARKED = 12  # values that still get a marker each


@dataclass(frozen=True, slots=True)
class Panel:
    """A figure over tokens, or over time.

    key: what it shows, a score or a key of the steps, e.g. "mlm_accuracy".
    title: over it, e.g. "Tokens found".
    y_title: of the y axis, e.g. "accuracy ×100".
    factor: of the values, e.g. 100.
    over: "tokens" or "seconds".
    caption: words below it.
    """

    key: str
    title: str
    y_title: str
    factor: float = 1.0
    over: str = "tokens"
    caption: str = ""


PRETRAIN_PANELS = (
    Panel(
        "bits_per_character",
        "Bits per character",
        "bits per character",
        caption="Held-out text: less is better.",
    ),
    Panel(
        "bits_per_character",
        "Bits per character",
        "bits per character",
        over="seconds",
        caption="The same over time.",
    ),
    Panel("mlm_loss", "Held-out loss", "nats per masked token"),
    Panel(
        "loss",
        "Training loss",
        "training loss",
        caption="Means over some steps; all terms together.",
    ),
    Panel(
        "order_gain",
        "Order gain",
        "nats",
        caption="Nats lost when the other words stand in a random order.",
    ),
    Panel("sop_accuracy", "Sentence order", "accuracy ×100", 100, caption="50 is guessing."),
    Panel(
        "mlm_accuracy",
        "Tokens found",
        "accuracy ×100",
        100,
        caption="Masked tokens whose likeliest piece is right.",
    ),
    Panel(
        "pos_accuracy",
        "POS probe",
        "accuracy ×100",
        100,
        caption="A linear layer on frozen states.",
    ),
    Panel(
        "entity_f1",
        "Entity probe",
        "entity F1 ×100",
        100,
        caption="A linear layer on frozen states.",
    ),
    Panel("lr", "Learning rate", "rate ×1000", 1000),
)


def pretrain_html(
    runs: Sequence[PretrainLog],
    name: str,
    opening: str,
    verdicts: Sequence[str],
    sections: Sequence[Section],
) -> str:
    """Draw the page.

    Args:
        runs: the logs.
        name: of the study.
        opening: what the numbers mean.
        verdicts: what can be concluded.
        sections: the tables.

    Raises:
        MissingExtraError: jinja2 is not installed.
    """
    # Runs are told apart by colour alone, in the order of their names.
    roles = [f"s{i % _COLOURS}" for i in range(len(runs))]
    lines = [figure.legend_line(role) for role in roles]
    panels = [_draw(panel, runs, roles) for panel in PRETRAIN_PANELS]
    values = {
        "name": name,
        "kind": "pre-training",
        "opening": opening,
        "verdicts": verdicts,
        "legend": list(zip(lines, (run.name for run in runs), strict=True)),
        "events": any(run.events for run in runs),
        "panels": [panel for panel in panels if panel],
        "sections": [section_values(section) for section in sections],
    }
    return render("figures.html", values)


def _draw(panel: Panel, runs: Sequence[PretrainLog], roles: Sequence[str]) -> dict[str, str] | None:
    """Draw a figure with its caption; None when no run has at least two values for it."""
    # All runs of a panel share the axis.
    unit, x_title = _axis(panel, runs)
    smooth = panel.key == "loss"
    curves, events = [], []
    for run, role in zip(runs, roles, strict=True):
        series = [(x / unit, panel.factor * y) for x, y in run.series(panel.key, over=panel.over)]
        series = _means(series) if smooth else series
        if len(series) < 2:
            continue
        xs, ys = zip(*series, strict=True)
        marked = panel.key not in ("loss", "lr") and len(series) <= _MARKED
        curves.append(Curve(xs, ys, role, marked=marked))

        # Events behind the last value would stand outside the figure.
        at = [line[panel.over] / unit for line in run.events]
        events += [(x, role) for x in at if x <= xs[-1]]
    if not curves:
        return None

    # The axis begins at the lowest value, not at 0: changes are small at the end.
    lowest = min(min(curve.ys) for curve in curves)
    highest = max(max(curve.ys) for curve in curves)
    svg = figure.curves(
        curves,
        title=f"{panel.title} over {x_title}",
        x_title=x_title,
        y_title=panel.y_title,
        y=(lowest, highest),
        events=events,
    )
    return {"svg": svg, "title": panel.title, "caption": panel.caption}


def _axis(panel: Panel, runs: Sequence[PretrainLog]) -> tuple[float, str]:
    """Choose the unit of the x axis, in tokens or seconds, and its name."""
    if panel.over == "tokens":
        return 1e6, "million tokens"

    # Minutes until three hours: up to there hours would be fractions.
    longest = 0.0
    for run in runs:
        longest = max([longest, *(x for x, _ in run.series(panel.key, over=panel.over))])
    return (3600.0, "hours") if longest > 3 * 3600 else (60.0, "minutes")


def _means(series: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """Average some steps at a time, each mean at the last of its steps."""
    # The last step stands for its mean, so that no curve runs ahead of its data.
    size = max(1, len(series) // _PARTS)
    parts = [series[i : i + size] for i in range(0, len(series), size)]
    return [(part[-1][0], sum(y for _, y in part) / len(part)) for part in parts]
