"""How a report writes numbers and names: scores in points, sizes in MB, costs of a model, measuring conditions."""

from __future__ import annotations

from destila.records import Conditions

SCORES = {
    "accuracy": "accuracy",
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
    "ece": "calibration error",
    "agreement": "agreement with teacher",
}
MACS = {"linear_512": "GMACs linear", "total_512": "GMACs total"}
ROLE = {"finetuned": "fine-tuned"}
NONE = "–"


def name(score: str) -> str:
    """A score's name for people."""
    return SCORES.get(score, score)


def role(key: str) -> str:
    """A role's name for people."""
    return ROLE.get(key, key)


def points(ratio: float) -> str:
    """A ratio as points, two decimals."""
    return f"{100 * ratio:.2f}"


def signed(ratio: float) -> str:
    """A difference of ratios as points with its sign."""
    return f"{100 * ratio:+.2f}"


def count(number: int) -> str:
    """A whole number with commas; a dash for 0, which records use for "not counted"."""
    return f"{number:,}" if number else NONE


def megabytes(size_bytes: int) -> str:
    """Bytes as MB (10^6), two decimals."""
    return f"{size_bytes / 1e6:.2f}"


def times(factor: float | None) -> str:
    """A speed-up; a dash for None."""
    return f"{factor:.2f}×" if factor else NONE


def say(c: Conditions) -> str:
    """Conditions in one line."""
    versions = ", ".join(f"{package} {version}" for package, version in c.versions.items())
    return (
        f"{c.device}; {c.cpu} ({c.instructions}); {c.threads} threads; batch {c.batch}; length {c.length}; {c.dtype}; "
        f"{c.backend}; warm-up {c.warmup}, repeats {c.repeats}; {versions}"
    )
