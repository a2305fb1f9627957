"""How a report writes numbers and names: points, megabytes, factors, measuring conditions."""

from __future__ import annotations

from collections.abc import Sequence

from destila.records import Conditions, Record

SCORE_NAMES = {
    "accuracy": "accuracy",
    "micro_f1": "micro F1",
    "macro_f1": "macro F1",
    "mcc": "Matthews",
    "entity_f1": "entity F1",
    "entity_precision": "precision",
    "entity_recall": "recall",
    "pos_accuracy": "POS accuracy",
    "chunk_f1": "chunk F1",
    "f1": "answer F1",
    "exact_match": "exact match",
    "f1_es": "answer F1 (Spanish)",
    "exact_match_es": "exact match (Spanish)",
    "has_answer_f1": "answer F1, answerable",
    "has_answer_em": "exact match, answerable",
    "no_answer_accuracy": "accuracy, unanswerable",
    "capitals": "in CAPITALS",
    "lower_case": "in lower case",
    "ece": "calibration error",
    "agreement": "agreement with teacher",
}
MACS = {"linear_512": "GMACs linear", "total_512": "GMACs total"}
ROLE = {"finetuned": "fine-tuned"}
NONE = "–"


def score_name(score: str) -> str:
    """Name a score for people."""
    return SCORE_NAMES.get(score, score)


def split_name(record: Record) -> str:
    """Name what a record was scored on for people."""
    folds = record.details.get("folds")
    return f"{len(folds)}-fold cross-validation" if folds else f"split {record.split}"


def role_name(key: str) -> str:
    """Name a role for people."""
    return ROLE.get(key, key)


def points(ratio: float) -> str:
    """Write a ratio as points, two decimals."""
    return f"{100 * ratio:.2f}"


def signed(ratio: float) -> str:
    """Write a difference of ratios as points with its sign."""
    return f"{100 * ratio:+.2f}"


def with_commas(number: int) -> str:
    """Write a whole number with commas; a dash for 0, which in records means "not counted"."""
    return f"{number:,}" if number else NONE


def in_megabytes(size_bytes: int) -> str:
    """Write bytes as MB (10^6), two decimals."""
    return f"{size_bytes / 1e6:.2f}"


def as_factor(factor: float | None) -> str:
    """Write a speed-up; a dash for None."""
    return f"{factor:.2f}×" if factor else NONE


def say_conditions(c: Conditions) -> str:
    """Write conditions in one line."""
    return "; ".join(_parts(c))


def conditions_of(record: Record) -> list[tuple[str, Conditions]]:
    """List what a record has measured, each with its conditions: scores, and protocols of time."""
    times = [(latency.protocol, latency.conditions) for latency in record.latency]
    return [("scores", record.conditions), *times]


def list_conditions(measured: Sequence[tuple[str, Conditions]]) -> list[str]:
    """Write the conditions of measurements: first what all share, then each difference once.

    Args:
        measured: what was measured, and how; see `conditions_of`.
    """
    parts = [_parts(conditions) for _, conditions in measured]
    shared = [len(set(same)) == 1 for same in zip(*parts, strict=True)]

    # What was measured under equal conditions stands in one line.
    lines: dict[str, list[str]] = {}
    for (what, _), own in zip(measured, parts, strict=True):
        rest = "; ".join(part for part, common in zip(own, shared, strict=True) if not common)
        lines.setdefault(rest, []).append(what)
    different = [
        f"{', '.join(dict.fromkeys(what))}: {rest}" for rest, what in lines.items() if rest
    ]
    common = "; ".join(part for part, common in zip(parts[0], shared, strict=True) if common)
    return [f"all: {common}", *different] if common else different


def _parts(c: Conditions) -> tuple[str, ...]:
    """Write conditions in parts, in one order."""
    return (
        c.device,
        f"{c.cpu} ({c.instructions})",
        f"{c.threads} thread{'s' * (c.threads != 1)}",
        f"batch {c.batch}",
        f"length {c.length}",
        c.dtype,
        c.backend,
        f"warm-up {c.warmup}, repeats {c.repeats}",
        ", ".join(f"{package} {version}" for package, version in c.versions.items()),
    )
