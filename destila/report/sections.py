"""What a report says, section by section, before it is set as Markdown (`table.py`) or HTML (`page.py`)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

from destila.report import reference
from destila.report.compare import Difference, against, against_baseline, gains
from destila.report.pareto import lost_per_halving
from destila.report.rows import Row, protocols, speed_up, teacher_of
from destila.report.tradeoff import FACTORS, Axis, axes
from destila.report.words import (
    MACS,
    NONE,
    SCORES,
    count,
    megabytes,
    name,
    points,
    say,
    signed,
    times,
)

Body = Sequence[Sequence[str]]

_BOOTSTRAP = "Paired bootstrap over test examples and seeds, 2,000 draws; differences in points."


@dataclass(frozen=True, slots=True)
class Section:
    """A title and, in this order, what is there of: an opening, a table, notes under it, bullets.

    key: a stable short name. The table's first column names its rows.
    """

    key: str
    title: str
    opening: str = ""
    header: Sequence[str] = ()
    body: Body = ()
    notes: str = ""
    bullets: Sequence[str] = ()


def sections(rows: Sequence[Row], *, beside: str | None = None) -> list[Section]:
    """Scores, cost, trade-off, quantisation, gain of distilling, baseline, published numbers, conditions.

    beside: a student that all others are compared with too. Raises DataError when there is none of that name.
    """
    if not rows:
        return []
    compared = partial(_against, model=beside)
    made = (
        _scores,
        _cost,
        _tradeoff,
        _retained,
        _quantised,
        _gains,
        compared,
        _baselines,
        _published,
        _conditions,
    )
    return [section for make in made if (section := make(rows)) is not None]


def opening(rows: Sequence[Row]) -> str:
    """The data set, the task, the main score, and how scores are printed."""
    if not rows:
        return "No records yet: `destila run RECIPE` makes them."
    first = rows[0].first
    tested = f", {len(first.items):,} examples" if first.items else ""
    return (
        f"Data set {first.dataset}, task {first.task}, split {first.split}{tested}. Main score: {name(first.main)}. "
        "Scores are ×100; mean ± standard deviation where there are several seeds."
    )


def verdicts(rows: Sequence[Row]) -> list[str]:
    """What a report concludes, one sentence each: every gain of distilling, and whether the baseline wins."""
    return [_gain_sentence(d) for d in gains(rows)] + [
        _baseline_sentence(d) for d in against_baseline(rows)
    ]


def _scores(rows: Sequence[Row]) -> Section:
    main, teacher = rows[0].first.main, teacher_of(rows)
    has = _scores_of(rows)
    keys = [main, *(key for key in SCORES if key in has and key != main)]
    header = [
        "model",
        "role",
        "seeds",
        "parameters",
        *(name(key) for key in keys),
        "of the teacher",
    ]
    body = []
    for row in rows:
        share = f"{100 * row.main / teacher.main:.1f} %" if teacher and teacher.main else NONE
        cells = [_score(row, key) for key in keys]
        body.append(
            [row.model, row.role, str(len(row.seeds)), count(row.first.params), *cells, share]
        )
    return Section("scores", "Scores", header=header, body=body)


def _cost(rows: Sequence[Row]) -> Section:
    teacher, timed = teacher_of(rows), protocols(rows)
    macs = [key for key in MACS if any(key in row.first.macs for row in rows)]
    header = ["model", "role", "parameters", "MB", *(MACS[key] for key in macs)]
    for protocol in timed:
        header += [f"ms {protocol} (p95)", "speed-up"]
    header.append("peak memory MB")
    body = []
    for row in rows:
        line = [row.model, row.role, count(row.first.params), megabytes(row.first.size_bytes)]
        line += [
            f"{row.first.macs[key] / 1e9:.2f}" if key in row.first.macs else NONE for key in macs
        ]
        for protocol in timed:
            latency, factor = row.latency(protocol), speed_up(row, teacher, protocol)
            line.append(f"{latency.median_ms:.2f} ({latency.p95_ms:.2f})" if latency else NONE)
            line.append(times(factor))
        line.append(f"{row.peak_memory_bytes / 1e6:.0f}" if row.peak_memory_bytes else NONE)
        body.append(line)
    notes = ["MB: the model on disk. Peak memory: of the process that ran the model."]
    if macs:
        notes.append(
            "GMACs at 512 tokens: linear = linear layers and layer norms, the papers' count; total = with attention."
        )
    if timed:
        notes.append(
            "ms: median and 95th percentile per example. Speed-up: median of the teacher divided by that of the model, "
            "blank where they were timed under different conditions."
        )
    return Section("cost", "Cost", header=header, body=body, notes=" ".join(notes))


def _tradeoff(rows: Sequence[Row]) -> Section | None:
    found = axes(rows)
    if not found:
        return None
    baseline = next((axis.baseline for axis in found), None)
    header = [
        "cost",
        "front, cheapest first",
        "knee",
        "hypervolume above the baseline",
        "hypervolume above 0",
    ]
    header += [f"retained at {factor}×" for factor in FACTORS]
    body = [
        [
            axis.title,
            ", ".join(point.name for point in axis.front),
            axis.knee.name if axis.knee else NONE,
            *(_area(value) for value in (axis.above_baseline, axis.above_zero)),
            *(_share(axis.retained_at(factor)) for factor in FACTORS),
        ]
        for axis in found
    ]
    notes = [
        "Front: encoders that no other one beats in score and cost. Hypervolume: area between the front and the point "
        "(baseline's score, teacher's cost), in points of score × halvings of the cost. Knee: farthest from the chord "
        "between the ends of the front. Retained: the best share of the teacher's score at that saving or more. "
        "Definitions: docs/reference/tradeoff.md."
    ]
    if baseline is not None and not any(axis.above_baseline for axis in found):
        notes.append(
            f"No encoder cheaper than the teacher scores above the baseline {baseline.model} {points(baseline.main)}."
        )
    return Section("tradeoff", "Trade-off", header=header, body=body, notes=" ".join(notes))


def _retained(rows: Sequence[Row]) -> Section | None:
    found = [axis for axis in axes(rows) if axis.reference is not None]
    if not found:
        return None
    teacher = found[0].teacher
    header = ["model", "role", "score retained"]
    for axis in found:
        header += [f"{_short(axis)} saved", "lost per halving"]
    body = []
    for row in rows:
        if row.role == "baseline" or row is teacher:
            continue
        line = [
            row.model,
            row.role,
            _share(row.main / teacher.main if teacher and teacher.main else None),
        ]
        for axis in found:
            line += _saving(axis, row)
        body.append(line)
    notes = (
        "Score retained: share of the teacher's main score. Saved: the teacher's cost divided by the model's. Lost per "
        "halving: share of the teacher's score given up for each halving of the cost; negative where the model is better."
    )
    return (
        Section("retained", "Score retained", header=header, body=body, notes=notes)
        if body
        else None
    )


def _saving(axis: Axis, row: Row) -> list[str]:
    point = next((m.point for m in axis.points if m.row is row and m.among), None)
    if point is None or axis.reference is None:
        return [NONE, NONE]
    lost = lost_per_halving(point, axis.reference)
    return [
        times(axis.reference.cost / point.cost),
        NONE if lost is None else f"{100 * lost:.2f} %",
    ]


def _quantised(rows: Sequence[Row]) -> Section | None:
    exported = [row for row in rows if row.role == "exported"]
    if not exported:
        return None
    main = exported[0].first.main
    header = [
        "model",
        "candidate",
        name(main),
        "drop in points",
        "MB",
        "int8 products",
        "batch-stable",
    ]
    body = []
    for row in exported:
        told = row.first.details
        drops = [float(r.details["drop"]) for r in row.records if r.details.get("drop") is not None]
        products = (
            f"{told['int8_products']} of {told['products']}"
            if {"int8_products", "products"} <= {*told}
            else NONE
        )
        stable = {True: "yes", False: "no"}.get(told.get("stable", ""), NONE)
        drop = signed(sum(drops) / len(drops)) if drops else NONE
        line = [row.model, str(told.get("candidate", NONE)), _score(row, main), drop]
        body.append([*line, megabytes(row.first.size_bytes), products, stable])
    notes = (
        "Drop: what the exported model loses on the data the export was checked on; negative where it gains. Int8 "
        "products: the two inside each layer's attention have no weights, and stay in floating point."
    )
    return Section(
        "quantised", "What export and quantisation lose", header=header, body=body, notes=notes
    )


def _gains(rows: Sequence[Row]) -> Section | None:
    found = gains(rows)
    if not found:
        return None
    header = [
        "student",
        "reading",
        "distilled",
        "fine-tuned",
        "difference",
        "95 % interval",
        "seeds",
    ]
    body = [
        [
            d.a.model,
            d.reading,
            points(d.a.main),
            points(d.b.main),
            signed(d.mean),
            _interval(d),
            str(min(d.seeds)),
        ]
        for d in found
    ]
    return Section(
        "gains",
        "What distilling gains over fine-tuning",
        header=header,
        body=body,
        notes=_BOOTSTRAP,
    )


def _against(rows: Sequence[Row], *, model: str | None) -> Section | None:
    if model is None:
        return None
    header = ["student", "role", "reading", "score", "difference", "95 % interval", "seeds"]
    body = [
        [
            d.a.model,
            d.a.role,
            d.reading,
            points(d.a.main),
            signed(d.mean),
            _interval(d),
            str(min(d.seeds)),
        ]
        for d in against(rows, model)
    ]
    return Section("against", f"Against {model}", header=header, body=body, notes=_BOOTSTRAP)


def _baselines(rows: Sequence[Row]) -> Section | None:
    if not any(row.role == "baseline" for row in rows):
        return None
    sentences = [_baseline_sentence(d) for d in against_baseline(rows)] or [
        "No student to compare the baseline with."
    ]
    return Section("baseline", "Baseline", bullets=sentences)


def _gain_sentence(d: Difference) -> str:
    return (
        f"Distilling {d.a.model} instead of fine-tuning it: {signed(d.mean)} points of {name(d.a.first.main)}, "
        f"95 % interval {_interval(d)} ({d.reading}, {min(d.seeds)} seed{'s' * (min(d.seeds) > 1)})."
    )


def _baseline_sentence(d: Difference) -> str:
    student, baseline = (
        f"{d.a.model} ({d.a.role}) {points(d.a.main)}",
        f"{d.b.model} {points(d.b.main)}",
    )
    how = (
        f"{name(d.a.first.main)}, difference {signed(d.mean)} points, 95 % interval {_interval(d)}"
    )
    if d.mean < 0:
        return f"The baseline wins: {baseline} against {student}, the best student ({how})."
    if d.mean == 0 or (d.low is not None and d.low <= 0):
        return f"No student is shown to beat the baseline: {baseline} against {student}, the best student ({how})."
    return f"The baseline is beaten: {baseline} against {student}, the best student ({how})."


def _published(rows: Sequence[Row]) -> Section | None:
    dataset, has = rows[0].first.dataset, _scores_of(rows)
    found = [p for p in reference.scores(dataset) if p.score in has]
    if not found:
        return None
    columns = list(dict.fromkeys((p.table, p.training, p.score) for p in found))
    ours = list(dict.fromkeys(p.score for p in found))
    cells = {(p.model, (p.table, p.training, p.score)): p for p in found}
    notes = list(dict.fromkeys(p.note for p in found if p.note))
    body = []
    for model in dict.fromkeys(p.model for p in found):
        line = [model, "published"]
        for column in columns:
            cell = cells.get((model, column))
            mark = f" [{notes.index(cell.note) + 1}]" if cell and cell.note else ""
            line.append(f"{points(cell.value)}{mark}" if cell else NONE)
        body.append(line + [NONE] * len(ours))
    body += [
        [row.model, row.role, *[NONE] * len(columns), *(_score(row, key) for key in ours)]
        for row in rows
    ]
    header = [
        "model",
        "role",
        *(f"{table}, {training}, {name(score)}" for table, training, score in columns),
    ]
    header += [f"measured here, {name(score)}" for score in ours]
    about = reference.tables()
    lines = [
        f"{key}: {about[key].title}. {about[key].note}"
        for key in dict.fromkeys(c[0] for c in columns)
    ]
    lines += [f"[{i}] {note}" for i, note in enumerate(notes, start=1)]
    first = "Published by others, not measured here: their training sets, tokenizers, seeds and versions differ from ours."
    if dataset in reference.SAME_TEST:
        first += f" Same test set as {reference.SAME_TEST[dataset]}, other training text."
    return Section("published", "Published", first, header, body, bullets=lines)


def _conditions(rows: Sequence[Row]) -> Section:
    records = [record for row in rows for record in row.records]
    lines: dict[str, list[str]] = {}
    for record in records:
        lines.setdefault(say(record.conditions), []).append("scores")
        for latency in record.latency:
            lines.setdefault(say(latency.conditions), []).append(latency.protocol)
    told = [f"{', '.join(dict.fromkeys(what))}: {text}" for text, what in lines.items()]
    code = ", ".join(sorted({record.code for record in records}))
    seeds = ", ".join(str(seed) for seed in sorted({record.seed for record in records}))
    return Section("conditions", "Conditions", bullets=[*told, f"code {code}; seeds {seeds}"])


def _scores_of(rows: Sequence[Row]) -> set[str]:
    return {score for row in rows for record in row.records for score in record.scores}


def _score(row: Row, key: str) -> str:
    mean, spread = row.mean(key), row.spread(key)
    if mean is None:
        return NONE
    return points(mean) + (f" ± {points(spread)}" if spread is not None else "")


def _interval(d: Difference) -> str:
    return (
        f"[{signed(d.low)}, {signed(d.high)}]" if d.low is not None and d.high is not None else NONE
    )


def _area(value: float | None) -> str:
    return NONE if value is None else f"{100 * value:.1f}"


def _share(value: float | None) -> str:
    return NONE if value is None else f"{100 * value:.1f} %"


def _short(axis: Axis) -> str:
    return {"latency": "time", "size": "size", "macs": "MACs"}[axis.key]
