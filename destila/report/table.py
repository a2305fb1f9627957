"""The Markdown report of a study and the short rows a terminal shows; drawn from saved records only."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from destila.measure.latency import PAPERS, REAL
from destila.report import reference
from destila.report.compare import Difference, against_floor, gains
from destila.report.rows import Row, protocols, rows, speed_up, teacher_of
from destila.types import Conditions, Record

SCORES = {
    "accuracy": "accuracy",
    "macro_f1": "macro F1",
    "mcc": "Matthews",
    "entity_f1": "entity F1",
    "entity_precision": "precision",
    "entity_recall": "recall",
    "pos_accuracy": "POS accuracy",
    "chunk_f1": "chunk F1",
    "ece": "calibration error",
    "agreement": "agreement with teacher",
}
MACS = {"linear_512": "GMACs linear", "total_512": "GMACs total"}
NONE = "–"


def markdown(records: Sequence[Record], study: str) -> str:
    """The whole report: scores, cost, gain of distilling, floor, published numbers, conditions."""
    every = rows(records)
    parts = [f"# {study}", _opening(every)]
    if every:
        parts += [_scores(every), _cost(every), _gains(every), _floors(every), _published(every), _conditions(every)]
    return "\n\n".join(part for part in parts if part) + "\n"


def terminal_rows(records: Sequence[Record]) -> list[dict[str, Any]]:
    """One short row per model and role for a terminal or a program.

    Keys: model, role, params, size_mb, main, score, sd, seeds, latency_ms, speed_up; None where not measured.
    latency_ms: the median on real texts, else of the papers' protocol.
    """
    every = rows(records)
    teacher, timed = teacher_of(every), protocols(every)
    protocol = REAL if REAL in timed else PAPERS
    found = []
    for row in every:
        latency = row.latency(protocol)
        found.append(
            {
                "model": row.model,
                "role": row.role,
                "params": row.first.params,
                "size_mb": round(row.first.size_bytes / 1e6, 2),
                "main": row.first.main,
                "score": row.main,
                "sd": row.spread(row.first.main),
                "seeds": len(row.seeds),
                "latency_ms": latency.median_ms if latency else None,
                "speed_up": speed_up(row, teacher, protocol),
            }
        )
    return found


def verdicts(records: Sequence[Record]) -> list[str]:
    """What a report concludes, one sentence each: every gain of distilling, and whether the floor wins."""
    every = rows(records)
    return [_gain_sentence(d) for d in gains(every)] + [_floor_sentence(d) for d in against_floor(every)]


def grid(header: Sequence[str], body: Iterable[Sequence[str]]) -> str:
    """A Markdown table; the columns after the second are set to the right."""
    marks = ["---" if i < 2 else "---:" for i in range(len(header))]
    return "\n".join("| " + " | ".join(line) + " |" for line in [header, marks, *body])


def _opening(every: Sequence[Row]) -> str:
    if not every:
        return "No records yet: `destila run RECIPE` makes them."
    first = every[0].first
    tested = f", {len(first.items):,} examples" if first.items else ""
    return (
        f"Data set {first.dataset}, task {first.task}, split {first.split}{tested}. Main score: {_name(first.main)}. "
        "Scores are ×100; mean ± standard deviation where there are several seeds."
    )


def _scores(every: Sequence[Row]) -> str:
    main, teacher = every[0].first.main, teacher_of(every)
    has = {score for row in every for record in row.records for score in record.scores}
    keys = [main, *(key for key in SCORES if key in has and key != main)]
    header = ["model", "role", "seeds", "parameters", *(_name(key) for key in keys), "of the teacher"]
    body = []
    for row in every:
        share = f"{100 * row.main / teacher.main:.1f} %" if teacher and teacher.main else NONE
        cells = [_score(row, key) for key in keys]
        body.append([row.model, row.role, str(len(row.seeds)), _count(row.first.params), *cells, share])
    return "## Scores\n\n" + grid(header, body)


def _cost(every: Sequence[Row]) -> str:
    teacher, timed = teacher_of(every), protocols(every)
    macs = [key for key in MACS if any(key in row.first.macs for row in every)]
    header = ["model", "role", "parameters", "MB", *(MACS[key] for key in macs)]
    for protocol in timed:
        header += [f"ms {protocol} (p95)", "speed-up"]
    header.append("peak memory MB")
    body = []
    for row in every:
        line = [row.model, row.role, _count(row.first.params), f"{row.first.size_bytes / 1e6:.2f}"]
        line += [f"{row.first.macs[key] / 1e9:.2f}" if key in row.first.macs else NONE for key in macs]
        for protocol in timed:
            latency, factor = row.latency(protocol), speed_up(row, teacher, protocol)
            line.append(f"{latency.median_ms:.2f} ({latency.p95_ms:.2f})" if latency else NONE)
            line.append(f"{factor:.2f}×" if factor else NONE)
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
    return "## Cost\n\n" + grid(header, body) + "\n\n" + " ".join(notes)


def _gains(every: Sequence[Row]) -> str:
    found = gains(every)
    if not found:
        return ""
    header = ["student", "reading", "distilled", "fine-tuned", "difference", "95 % interval", "seeds"]
    body = [
        [d.a.model, d.reading, _points(d.a.main), _points(d.b.main), _signed(d.mean), _interval(d), str(min(d.seeds))]
        for d in found
    ]
    note = "Paired bootstrap over test examples and seeds, 2,000 draws; differences in points."
    return "## What distilling gains over fine-tuning\n\n" + grid(header, body) + "\n\n" + note


def _floors(every: Sequence[Row]) -> str:
    if not any(row.role == "floor" for row in every):
        return ""
    sentences = [_floor_sentence(d) for d in against_floor(every)] or ["No student to compare the floor with."]
    return "## Floor\n\n" + "\n".join(f"- {sentence}" for sentence in sentences)


def _gain_sentence(d: Difference) -> str:
    return (
        f"Distilling {d.a.model} instead of fine-tuning it: {_signed(d.mean)} points of {_name(d.a.first.main)}, "
        f"95 % interval {_interval(d)} ({d.reading}, {min(d.seeds)} seed{'s' * (min(d.seeds) > 1)})."
    )


def _floor_sentence(d: Difference) -> str:
    student, floor = f"{d.a.model} ({d.a.role}) {_points(d.a.main)}", f"{d.b.model} {_points(d.b.main)}"
    how = f"{_name(d.a.first.main)}, difference {_signed(d.mean)} points, 95 % interval {_interval(d)}"
    if d.mean < 0:
        return f"The floor wins: {floor} against {student}, the best student ({how})."
    if d.mean == 0 or (d.low is not None and d.low <= 0):
        return f"No student is shown to beat the floor: {floor} against {student}, the best student ({how})."
    return f"The floor is beaten: {floor} against {student}, the best student ({how})."


def _published(every: Sequence[Row]) -> str:
    dataset = every[0].first.dataset
    has = {score for row in every for record in row.records for score in record.scores}
    found = [p for p in reference.scores(dataset) if p.score in has]
    if not found:
        return ""
    columns = list(dict.fromkeys((p.table, p.training, p.score) for p in found))
    cells = {(p.model, (p.table, p.training, p.score)): p for p in found}
    notes = list(dict.fromkeys(p.note for p in found if p.note))
    body = []
    for model in dict.fromkeys(p.model for p in found):
        line = [model, "published"]
        for column in columns:
            cell = cells.get((model, column))
            mark = f" [{notes.index(cell.note) + 1}]" if cell and cell.note else ""
            line.append(f"{_points(cell.value)}{mark}" if cell else NONE)
        body.append(line)
    header = ["model", "role", *(f"{table}, {training}, {_name(score)}" for table, training, score in columns)]
    about = reference.tables()
    lines = [f"- {name}: {about[name].title}. {about[name].note}" for name in dict.fromkeys(c[0] for c in columns)]
    lines += [f"- [{i}] {note}" for i, note in enumerate(notes, start=1)]
    opening = (
        "Published by others, not measured here: their training sets, tokenizers, seeds and versions differ from ours."
    )
    if dataset in reference.SAME_TEST:
        opening += f" Same test set as {reference.SAME_TEST[dataset]}, other training text."
    return "## Published\n\n" + opening + "\n\n" + grid(header, body) + "\n\n" + "\n".join(lines)


def _conditions(every: Sequence[Row]) -> str:
    records = [record for row in every for record in row.records]
    lines: dict[str, list[str]] = {}
    for record in records:
        lines.setdefault(_say(record.conditions), []).append("scores")
        for latency in record.latency:
            lines.setdefault(_say(latency.conditions), []).append(latency.protocol)
    told = [f"- {', '.join(dict.fromkeys(what))}: {text}" for text, what in lines.items()]
    code = ", ".join(sorted({record.code for record in records}))
    seeds = ", ".join(str(seed) for seed in sorted({record.seed for record in records}))
    return "\n".join(["## Conditions", "", *told, f"- code {code}; seeds {seeds}"])


def _say(c: Conditions) -> str:
    versions = ", ".join(f"{name} {version}" for name, version in c.versions.items())
    return (
        f"{c.device}; {c.cpu} ({c.instructions}); {c.threads} threads; batch {c.batch}; length {c.length}; {c.dtype}; "
        f"{c.backend}; warm-up {c.warmup}, repeats {c.repeats}; {versions}"
    )


def _score(row: Row, key: str) -> str:
    mean, spread = row.mean(key), row.spread(key)
    if mean is None:
        return NONE
    return _points(mean) + (f" ± {_points(spread)}" if spread is not None else "")


def _interval(d: Difference) -> str:
    return f"[{_signed(d.low)}, {_signed(d.high)}]" if d.low is not None and d.high is not None else NONE


def _name(score: str) -> str:
    return SCORES.get(score, score)


def _points(ratio: float) -> str:
    return f"{100 * ratio:.2f}"


def _signed(ratio: float) -> str:
    return f"{100 * ratio:+.2f}"


def _count(number: int) -> str:
    return f"{number:,}" if number else NONE
