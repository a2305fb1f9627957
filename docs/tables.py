"""Draw the tables and the picture of measured results from the records: `make tables` runs it.

    README.md             the table between its two marks: one study, four rows
    docs/results.md       every study of results/, with its conditions
    docs/images/front.svg score against milliseconds of the README's study, with the front
    destila-es/README.md  the table between its two marks: the models that are installed by name

Nothing is typed in by hand: a number that is not in `results/*.jsonl` cannot appear.
`python docs/tables.py --check` fails when one of them is not what it would write.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from generate import ROOT, write_or_check

from destila import records
from destila.report.differences.intervals import interval
from destila.report.drawing.figure import Dot, scatter
from destila.report.drawing.pareto import Point, front
from destila.report.rows import ReportRow, group_rows
from destila.report.words import role_name, say_conditions, score_name

RESULTS = ROOT / "results"
BEGIN, END = "<!-- table: drawn by `make tables` -->", "<!-- end of table -->"

MODELS_BEGIN = "<!-- models: drawn by `make tables` -->"
MODELS_END = "<!-- end of models -->"
MODELS = ("es-ner", "es-pos")
"""What is installed by name; a study of that name trained it."""

STUDY = "ner-mix"
"""The study of the README."""
STUDENT, TWIN = "swap", "mix"
"""Its student, and the one whose fine-tuned twin is the student's too: equal start, equal steps."""
PROTOCOL = "real"
"""Test texts one by one, tokenising and decoding included."""

LABELS = {
    "teacher": "teacher {}",
    "distilled": "{}, distilled",
    "finetuned": "{}, fine-tuned",
    "exported": "distilled, int8",
    "baseline": "baseline {}",
}
"""What stands beside a dot."""

STYLE = """<style>
text { font: 11px sans-serif; fill: #444 }
.axis, .grid { stroke: #ddd; fill: none }
.front { stroke: #888; stroke-width: 1.6; fill: none }
.dot.teacher { fill: #cc79a7 } .dot.distilled { fill: #0072b2 } .dot.finetuned { fill: #e69f00 }
.dot.exported { fill: #009e73 } .dot.baseline { fill: none; stroke: #555; stroke-width: 2.4 }
</style>"""


def main() -> None:
    """Write the files, or check that they are up to date."""
    write_or_check(files(), "Draw tables of results from the records.", "make tables")


def files() -> dict[Path, Callable[[], str]]:
    """Name every file and the function that draws it."""
    return {
        ROOT / "README.md": draw_readme,
        ROOT / "docs" / "results.md": draw_results,
        ROOT / "docs" / "images" / "front.svg": draw_picture,
        ROOT / "destila-es" / "README.md": draw_models,
    }


# --- the README


def draw_readme() -> str:
    """Return the README with its table drawn anew."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    head, rest = text.split(BEGIN)
    tail = rest.split(END)[1]
    return f"{head}{BEGIN}\n{headline()}\n{END}{tail}"


def headline() -> str:
    """Draw teacher, student, its twin, its export and the baseline of one study."""
    chosen = {row.role: row for row in headline_rows()}
    score = score_name(chosen["teacher"].first.main)
    titles = {
        "teacher": "teacher",
        "distilled": "student, distilled",
        "exported": "the same, int8 without torch",
        "finetuned": "the same, trained without the teacher",
        "baseline": "baseline",
    }

    lines = [
        f"| CoNLL-2002 | {score} | MB | ms per text |",
        "| --- | ---: | ---: | ---: |",
    ]
    for key, title in titles.items():
        row = chosen[key]
        seeds = "" if len(row.seeds) == 1 else f" ({len(row.seeds)} seeds)"
        model = f" `{row.model}`" if key not in ("exported", "finetuned") else ""
        lines.append(
            f"| {title}{model}{seeds} | {score_of(row)} | {megabytes(row)} | {milliseconds(row)} |"
        )
    return "\n".join(lines)


def headline_rows() -> list[ReportRow]:
    """Return the rows of the README's study that the table and the picture show."""
    every = group_rows(records.read_records(RESULTS / f"{STUDY}.jsonl"))
    return [row for row in every if row.role in ("teacher", "baseline") or _is_shown(row)]


def _is_shown(row: ReportRow) -> bool:
    """Say whether a row is the student, its export or its twin."""
    if row.role == "exported":
        return row.model.startswith(STUDENT)
    return row.model == (TWIN if row.role == "finetuned" else STUDENT)


# --- the models that are installed by name


def draw_models() -> str:
    """Return the page of destila-es with its table drawn anew."""
    text = (ROOT / "destila-es" / "README.md").read_text(encoding="utf-8")
    head, rest = text.split(MODELS_BEGIN)
    tail = rest.split(MODELS_END)[1]

    lines = [
        "| model | score | on test | in CAPITALS | in lower case | MB | ms per sentence |",
        "| --- | --- | ---: | ---: | ---: | ---: | ---: |",
    ]
    conditions = []
    for name in MODELS:
        path = RESULTS / f"{name}.jsonl"
        known = group_rows(records.read_records(path)) if path.is_file() else []
        for row in (row for row in known if row.role == "exported"):
            low, high = interval([row.first.items], row.first.main)
            cases = [f"{100 * row.first.scores[case]:.1f}" for case in ("capitals", "lower_case")]
            score = f"{score_of(row)} [{100 * low:.1f}, {100 * high:.1f}]"
            cells = [f"`{name}`", score_name(row.first.main), score, *cases]
            lines.append(f"| {' | '.join([*cells, megabytes(row), milliseconds(row)])} |")
            latency = row.latency(PROTOCOL)
            conditions += [f"Timed on {say_conditions(latency.conditions)}."] if latency else []
    table = "\n".join([*lines, "", *dict.fromkeys(conditions)])
    return f"{head}{MODELS_BEGIN}\n{table}\n{MODELS_END}{tail}"


# --- the picture


def draw_picture() -> str:
    """Draw score against milliseconds for the README's study, with the front."""
    every = [row for row in headline_rows() if milliseconds(row) != "–"]
    points = {point_of(row): row for row in every}
    dots = [
        Dot(point.cost, 100 * point.score, row.role, LABELS[row.role].format(row.model))
        for point, row in points.items()
    ]
    best = [(point.cost, 100 * point.score) for point in front(list(points))]

    picture = scatter(
        dots,
        title="Score against milliseconds per text",
        x_title="ms per text",
        y_title=score_name(every[0].first.main),
        front=best,
    )
    inside = picture.index(">") + 1
    with_space = picture[: inside - 1] + ' xmlns="http://www.w3.org/2000/svg">'
    return f"{with_space}{STYLE}{picture[inside:]}\n"


def point_of(row: ReportRow) -> Point:
    """Return a row as a point of the trade-off."""
    latency = row.latency(PROTOCOL)
    assert latency is not None, "only timed rows are drawn"
    return Point(row.model, score=row.main, cost=latency.median_ms)


# --- the page of results


def draw_results() -> str:
    """Draw every study of results/, tested models only, with the conditions of its times."""
    lines = [
        "# Results",
        "",
        "<!-- Drawn from results/*.jsonl by `make tables`. -->",
        "",
        "Scores x100 on test, mean and standard deviation over seeds. Milliseconds are medians",
        "over test texts one by one, tokenising and decoding included. What led to them, and what",
        "failed, stands in [the log](log/2026-11.md).",
    ]
    for path in sorted(RESULTS.glob("*.jsonl")):
        known = records.read_records(path)
        lines += ["", *study(path.stem, group_rows(known))]
    return "\n".join(lines) + "\n"


def study(title: str, every: Sequence[ReportRow]) -> list[str]:
    """Draw one study as a section."""
    main = every[0].first.main
    lines = [f"## {title}", ""]
    lines += [f"| model | role | {score_name(main)} | seeds | M parameters | MB | ms |"]
    lines += ["| --- | --- | ---: | ---: | ---: | ---: | ---: |"]
    for row in every:
        cells = [row.model, role_name(row.role), score_of(row), str(len(row.seeds))]
        cells += [f"{row.first.params / 1e6:.2f}", megabytes(row), milliseconds(row)]
        lines.append(f"| {' | '.join(cells)} |")

    timed = [latency.conditions for row in every if (latency := row.latency(PROTOCOL))]
    conditions = dict.fromkeys(say_conditions(each) for each in timed)
    return lines + [line for each in conditions for line in ("", f"Timed on {each}.")][:2]


# --- cells


def score_of(row: ReportRow) -> str:
    """Write the mean main score x100, with its spread over seeds."""
    spread = row.spread(row.first.main)
    return f"{100 * row.main:.1f}" + (f" ± {100 * spread:.1f}" if spread is not None else "")


def megabytes(row: ReportRow) -> str:
    """Write the size in MB (10^6 bytes); a dash where it was not counted."""
    return f"{row.first.size_bytes / 1e6:.1f}" if row.first.size_bytes else "–"


def milliseconds(row: ReportRow) -> str:
    """Write the median milliseconds per text, and the threads where they are not one."""
    latency = row.latency(PROTOCOL)
    if latency is None:
        return "–"
    threads = latency.conditions.threads
    return f"{latency.median_ms:.2f}" + (f" ({threads} threads)" if threads != 1 else "")


if __name__ == "__main__":
    main()
