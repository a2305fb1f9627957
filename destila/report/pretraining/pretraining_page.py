"""The page of pre-trainings: figures of `figure.py` and the tables of `pretraining.py`, in one HTML file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from destila.report import figure
from destila.report.figure import Curve
from destila.report.page import rendered, shown
from destila.report.pretraining.pretraining_log import Trained
from destila.report.sections import Section

_COLOURS = 6  # classes s0 to s5 of page.css
_STRETCHES = 80  # of a curve of training steps; single steps are noise
_MARKED = 12  # values that still get a marker each


@dataclass(frozen=True, slots=True)
class Panel:
    """A figure over tokens, or over time: what it shows, its y axis, factor of the values, words below it."""

    key: str
    title: str
    y_title: str
    factor: float = 1.0
    over: str = "tokens"
    caption: str = ""


PANELS = (
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


def html(
    runs: Sequence[Trained],
    name: str,
    opening: str,
    verdicts: Sequence[str],
    sections: Sequence[Section],
) -> str:
    """The page; raises MissingExtraError without jinja2."""
    roles = [f"s{i % _COLOURS}" for i in range(len(runs))]
    values = {
        "name": name,
        "opening": opening,
        "verdicts": verdicts,
        "legend": [
            (figure.legend_line(role), run.name) for role, run in zip(roles, runs, strict=True)
        ],
        "events": any(run.events for run in runs),
        "panels": [drawn for panel in PANELS if (drawn := _drawn(panel, runs, roles))],
        "sections": [shown(section) for section in sections],
    }
    return rendered("pretraining.html", values)


def _drawn(panel: Panel, runs: Sequence[Trained], roles: Sequence[str]) -> dict[str, str] | None:
    """A figure and its caption; None when no run has at least two values for it."""
    unit, x_title = _axis(panel, runs)
    curves, events = [], []
    for run, role in zip(runs, roles, strict=True):
        series = [(x / unit, panel.factor * y) for x, y in run.series(panel.key, over=panel.over)]
        if panel.key == "loss":
            series = _means(series)
        if len(series) > 1:
            xs, ys = zip(*series, strict=True)
            curves.append(
                Curve(
                    xs, ys, role, marked=panel.key not in ("loss", "lr") and len(series) <= _MARKED
                )
            )
            events += [
                (line[panel.over] / unit, role)
                for line in run.events
                if line[panel.over] / unit <= xs[-1]
            ]
    if not curves:
        return None
    values = [y for curve in curves for y in curve.ys]
    svg = figure.curves(
        curves,
        title=f"{panel.title} over {x_title}",
        x_title=x_title,
        y_title=panel.y_title,
        y=(min(values), max(values)),
        events=events,
    )
    return {"svg": svg, "title": panel.title, "caption": panel.caption}


def _axis(panel: Panel, runs: Sequence[Trained]) -> tuple[float, str]:
    """The unit of the x axis, in tokens or seconds, and its name."""
    if panel.over == "tokens":
        return 1e6, "million tokens"
    longest = max(
        (x for run in runs for x, _ in run.series(panel.key, over=panel.over)), default=0.0
    )
    return (3600.0, "hours") if longest > 3 * 3600 else (60.0, "minutes")


def _means(series: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    stretch = max(1, len(series) // _STRETCHES)
    parts = [series[i : i + stretch] for i in range(0, len(series), stretch)]
    return [(part[-1][0], sum(y for _, y in part) / len(part)) for part in parts]
