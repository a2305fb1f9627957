"""Sections of what was measured: scores, cost, the trade-off between them, what export loses."""

from __future__ import annotations

from collections.abc import Sequence

from destila.report.drawing.pareto import lost_per_halving
from destila.report.drawing.tradeoff import FACTORS, Axis, axes, protocol_of
from destila.report.rows import ReportRow, name_of, protocols, speed_up, teacher_of
from destila.report.section import BUSY, Section, score_cell, scores_in, share_cell, time_cell
from destila.report.words import (
    MACS,
    NONE,
    SCORE_NAMES,
    as_factor,
    in_megabytes,
    points,
    score_name,
    signed,
    with_commas,
)

_SHORT = {"latency": "time", "size": "size", "macs": "MACs"}
"""An axis in one word."""
_FEWEST = 4
"""Encoders from which on a table of the trade-off says more than the scores and costs do."""


def scores_section(rows: Sequence[ReportRow]) -> Section:
    """Draw up every score of every model, and its share of the teacher's."""
    main, teacher, present = rows[0].first.main, teacher_of(rows), scores_in(rows)

    # The main score stands first, the others in the order of `SCORE_NAMES`; of two scores that are
    # equal throughout (accuracy of parts of speech) the first is enough.
    columns: dict[str, list[str]] = {}
    for key in [main, *(key for key in SCORE_NAMES if key in present and key != main)]:
        column = [score_cell(row, key) for row in rows]
        if column not in columns.values():
            columns[score_name(key)] = column
    header = ["model", *columns, "of the teacher", "seeds"]

    body = []
    for row, *cells in zip(rows, *columns.values(), strict=True):
        share = row.main / teacher.main if teacher and teacher.main else None
        body.append([name_of(row), *cells, share_cell(share), str(len(row.seeds))])
    if not any(_folds_of(row) for row in rows):
        return Section("scores", "Scores", header=header, body=body)

    # A score of all folds hides how far they are apart.
    header.insert(2, "worst and best fold")
    for row, line in zip(rows, body, strict=True):
        folds = _folds_of(row)
        line.insert(2, f"{points(min(folds))} to {points(max(folds))}" if folds else NONE)
    note = (
        "Cross-validation: every example was answered by models trained without its fold, and all "
        "answers are scored together. The models that are kept were trained once more."
    )
    return Section("scores", "Scores", header=header, body=body, notes=note)


def _folds_of(row: ReportRow) -> list[float]:
    """Return the main scores of all folds of all seeds; [] without any."""
    return [score for record in row.records for score in record.details.get("folds", ())]


def cost_section(rows: Sequence[ReportRow]) -> Section:
    """Draw up size, times, memory and MACs; the time that models are compared by comes first."""
    teacher, timed = teacher_of(rows), protocols(rows)
    compared = protocol_of(rows)
    timed = sorted(timed, key=lambda protocol: protocol != compared)

    # A column only for what some row has.
    macs = [key for key in MACS if any(key in row.first.macs for row in rows)]
    header = ["model", "MB"]
    for protocol in timed:
        header += [f"ms {protocol} (p95)", *["speed-up"] * (protocol == compared)]
    header += ["peak memory MB", *(MACS[key] for key in macs), "parameters"]

    body = []
    for row in rows:
        first = row.first
        line = [name_of(row), in_megabytes(first.size_bytes)]
        for protocol in timed:
            line.append(time_cell(row, protocol))
            if protocol == compared:
                line.append(as_factor(speed_up(row, teacher, protocol)))
        line.append(f"{row.peak_memory_bytes / 1e6:.0f}" if row.peak_memory_bytes else NONE)
        line += [f"{first.macs[key] / 1e9:.2f}" if key in first.macs else NONE for key in macs]
        body.append([*line, with_commas(first.params)])

    # Notes explain only the columns that are there.
    notes = ["MB: the model on disk. Peak memory: of the process that ran the model."]
    # Models that were timed together share their doubt.
    doubts: dict[str, list[str]] = {}
    for row in rows:
        if row.doubt:
            doubts.setdefault(row.doubt, []).append(name_of(row))
    if doubts:
        each = "; ".join(f"{', '.join(names)}: {doubt}" for doubt, names in doubts.items())
        notes.append(f"{BUSY} Time these again before relying on them: {each}.")
    if macs:
        notes.append(
            "GMACs at 512 tokens: linear = linear layers and layer norms, the papers' count; "
            "total = with attention."
        )
    if timed:
        notes.append(
            f"ms: median and 95th percentile per example. Speed-up ({compared}): median of the "
            "teacher divided by that of the model, a dash where they were timed under different "
            "conditions."
        )
    return Section("cost", "Cost", header=header, body=body, notes=" ".join(notes))


def tradeoff_section(rows: Sequence[ReportRow]) -> Section | None:
    """Draw up the front, its knee and its hypervolumes, per cost; None without encoders."""
    # One line per cost, as the front differs between them.
    costs = axes(rows)
    if not costs:
        return None

    # Of a front of one or two models the figure says all.
    if max(len(axis.among) for axis in costs) < _FEWEST:
        return Section("tradeoff", "Trade-off")
    header = ["cost", "front, cheapest first", "knee"]
    header += ["hypervolume above the baseline", "hypervolume above 0"]
    factors = [n for n in FACTORS if any(axis.retained_at(n) is not None for axis in costs)]
    header += [f"retained at {factor}×" for factor in factors]

    body = []
    for axis in costs:
        line = [axis.title, ", ".join(point.name for point in axis.front)]
        line.append(axis.knee.name if axis.knee else NONE)
        line += [_area(axis.above_baseline), _area(axis.above_zero)]
        line += [share_cell(axis.retained_at(factor)) for factor in factors]
        body.append(line)

    # The measures are not common knowledge, so the table explains them itself.
    notes = [
        "Front: encoders that no other one beats in score and cost. Hypervolume: area between the "
        "front and the point (baseline's score, teacher's cost), in points of score × halvings of "
        "the cost. Knee: farthest from the chord between the ends of the front. Retained: the best "
        "share of the teacher's score at that saving or more. "
        "Definitions: docs/reference/tradeoff.md."
    ]

    # An area of 0 on every axis needs a sentence: it looks like a fault.
    baseline = costs[0].baseline
    if baseline is not None and not any(axis.above_baseline for axis in costs):
        notes.append(
            "No encoder cheaper than the teacher scores above the baseline "
            f"{baseline.model} {points(baseline.main)}."
        )
    return Section("tradeoff", "Trade-off", header=header, body=body, notes=" ".join(notes))


def retained_section(rows: Sequence[ReportRow]) -> Section | None:
    """Draw up what share of the teacher's score is kept for what saving; None without a teacher."""
    # Savings are relative to the teacher: an axis that lacks it says nothing here.
    costs = [axis for axis in axes(rows) if axis.reference is not None]
    if not costs or max(len(axis.among) for axis in costs) < _FEWEST:
        return None
    teacher = costs[0].teacher
    header = ["model", "score retained"]
    for axis in costs:
        header += [f"{_SHORT[axis.key]} saved", "lost per halving"]

    body = []
    for row in rows:
        # A baseline is not on the front, and the teacher saves nothing.
        if row.role == "baseline" or row is teacher:
            continue
        retained = row.main / teacher.main if teacher and teacher.main else None
        savings = [cell for axis in costs for cell in _saving(axis, row)]
        body.append([name_of(row), share_cell(retained), *savings])
    if not body:
        return None

    notes = (
        "Score retained: share of the teacher's main score. Saved: the teacher's cost divided by "
        "the model's. Lost per halving: share of the teacher's score given up for each halving of "
        "the cost; negative where the model is better."
    )
    return Section("retained", "Score retained", header=header, body=body, notes=notes)


def quantised_section(rows: Sequence[ReportRow]) -> Section | None:
    """Draw up what exported models lose, and how much of them is int8; None without any."""
    exported = [row for row in rows if row.role == "exported"]
    if not exported:
        return None

    # Exports share the main score of the study.
    main = exported[0].first.main
    header = ["model", "candidate", score_name(main), "drop in points", "MB"]
    header += ["int8 products", "batch-stable"]

    body = []
    for row in exported:
        details = row.first.details

        # An export that was not checked has no drop.
        drops = [float(r.details["drop"]) for r in row.records if r.details.get("drop") is not None]
        products = NONE
        if {"int8_products", "products"} <= {*details}:
            products = f"{details['int8_products']} of {details['products']}"
        stable = {True: "yes", False: "no"}.get(details.get("stable", ""), NONE)

        line = [row.model, str(details.get("candidate", NONE)), score_cell(row, main)]
        line.append(signed(sum(drops) / len(drops)) if drops else NONE)
        body.append([*line, in_megabytes(row.first.size_bytes), products, stable])

    notes = (
        "Drop: what the exported model loses on the data the export was checked on; negative where "
        "it gains. Int8 products: the two inside each layer's attention have no weights, and stay "
        "in floating point."
    )
    title = "What export and quantisation lose"
    return Section("quantised", title, header=header, body=body, notes=notes)


def _saving(axis: Axis, row: ReportRow) -> list[str]:
    """Write what a row saves on an axis, and what it loses per halving of the cost."""
    # A row that was timed under other conditions is on the axis but not in the front.
    point = next((m.point for m in axis.points if m.row is row and m.among), None)
    if point is None or axis.reference is None:
        return [NONE, NONE]
    lost = lost_per_halving(point, axis.reference)
    saved = as_factor(axis.reference.cost / point.cost)
    return [saved, NONE if lost is None else f"{100 * lost:.2f} %"]


def _area(value: float | None) -> str:
    """Write a hypervolume in points; a dash for None."""
    return NONE if value is None else f"{100 * value:.1f}"
