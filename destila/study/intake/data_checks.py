"""What a person should look at before a training, each in one line with its advice."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_TRUNCATED, _UNKNOWN, _FOREIGN = 0.05, 0.01, 0.02
"""Shares of examples, of tokens and of texts above which there is a warning."""

_FEW_TESTS, _FEW_TRAIN = 100, 5
"""Examples of test, and of a label in train, below which there is a warning."""

_TEXT_FAULTS = {
    "decomposed": "write accents as characters of their own (NFD): tokenizers read them otherwise, "
    "normalise them to NFC",
    "broken": "hold UTF-8 that was read as Latin-1 (Ã±): export them again, or give `encoding`",
}


def checks_of(
    report: Mapping[str, Any], max_length: int, limits: Mapping[str, int], *, folds: int = 0
) -> dict[str, list[str]]:
    """Return the warnings of a report by what they are about.

    Args:
        report: its figures.
        max_length: tokens a window holds at most.
        limits: the most that the models of a tokenizer can read, where it is known.
        folds: of the cross-validation; 0 for none.
    """
    models = []
    for name, splits in report["tokenizers"].items():
        models += _cut_by(name, splits, max_length, limits.get(name))
        models += _unknown_to(name, splits)
        if limits.get(name, max_length) < max_length:
            models.append(f"{name} reads at most {limits[name]} tokens: lower max_length to it")
    return {
        "splits": _splits(report, folds),
        "labels": _labels(report),
        "texts": _texts(report),
        "models": models,
    }


def warnings_of(report: Mapping[str, Any]) -> list[str]:
    """Return all warnings of a report, in its order."""
    return [warning for warnings in report["checks"].values() for warning in warnings]


def imbalance(share: float) -> str:
    """Return the warning about a label that nearly all examples have."""
    return (
        f"{share:.0%} of train have one label, which always saying so would score: set "
        "metric = 'macro_f1' and train.class_weights = 'balanced'"
    )


def _splits(report: Mapping[str, Any], folds: int) -> list[str]:
    """Return what is wrong with the splits: shared texts flatter a score."""
    warnings = []
    for pair, shared in report["overlap"].items():
        one, other = pair.split("-")
        if shared:
            warnings.append(
                f"{shared} {other} examples also occur in {one}: take them out of one, or the "
                "score flatters"
            )
    tests = report["splits"].get("test", {}).get("examples", _FEW_TESTS)
    if 0 < tests < _FEW_TESTS and not folds:
        warnings.append(
            f"test has {tests} examples, so that one answer is {100 / tests:.1f} points of the "
            "score: label more, or give a test file (`folds = 5` scores a small set by "
            "cross-validation)"
        )
    return warnings


def _labels(report: Mapping[str, Any]) -> list[str]:
    """Return what is wrong with the labels: contradictions and rare ones cannot be learnt."""
    warnings = []
    for split, part in report["splits"].items():
        if repeated := part["repeated_with_another_label"]:
            warnings.append(
                f"{repeated} texts of {split} occur with more than one label: decide on one"
            )
    for label, split in report["labels_in_one_split"].items():
        warnings.append(f"label '{label}' occurs in {split} only: label more of it, or drop it")

    counts = report["splits"].get("train", {}).get("labels", {})
    alone = report["labels_in_one_split"]
    rare = [label for label, n in counts.items() if 0 < n < _FEW_TRAIN and label not in alone]
    if rare:
        named = ", ".join(f"'{label}'" for label in rare[:5])
        warnings.append(
            f"{len(rare)} labels have under {_FEW_TRAIN} examples in train ({named}): label more, "
            "or merge them"
        )
    return warnings


def _texts(report: Mapping[str, Any]) -> list[str]:
    """Return what is no Spanish as encoders have read it, by its largest share in a split."""
    shares: dict[str, float] = {}
    for part in report["texts"].values():
        for what, share in part.items():
            shares[what] = max(share, shares.get(what, 0.0))

    warnings = []
    for what, share in shares.items():
        if what in _TEXT_FAULTS:
            warnings.append(f"{share:.0%} of the texts {_TEXT_FAULTS[what]}")
        elif share > _FOREIGN:
            warnings.append(
                f"{share:.0%} of the texts seem to be in {what} (by the commonest words): Spanish "
                "encoders do not know it, take them out or choose a multilingual teacher"
            )
    return warnings


def _cut_by(
    name: str, splits: Mapping[str, Mapping[str, Any]], max_length: int, limit: int | None
) -> list[str]:
    """Return what the models of a tokenizer never see, of the split where that is most."""
    split = max(splits, key=lambda each: splits[each].get("truncated", 0), default="")
    if not split or splits[split].get("truncated", 0) <= _TRUNCATED:
        return []

    cut = f"{name} cuts {splits[split]['truncated']:.0%} of {split} at {max_length} tokens: "
    if limit is not None and max_length >= limit:
        return [
            f"{cut}it can read no more than {limit}, and a text has one window; put what decides "
            "first, or divide the texts"
        ]
    return [cut + "raise max_length" + (f" (up to {limit})" if limit else "")]


def _unknown_to(name: str, splits: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Return what the models of a tokenizer do not understand, of the split where that is most."""
    split = max(splits, key=lambda each: splits[each]["unknown"], default="")
    if not split or splits[split]["unknown"] <= _UNKNOWN:
        return []

    # Emoji that no piece holds are one thing, letters and whole words another.
    texts: Mapping[str, int] = splits[split]["unknown_texts"]
    named = ", ".join(f"{text} ({count:,})" for text, count in texts.items())
    advice = "letters that its vocabulary lacks, or the wrong tokenizer: try another teacher"
    if not any(character.isalnum() for text in texts for character in text):
        advice = "emoji and signs, which it reads as one unknown piece; words are not touched"
    share = f"{splits[split]['unknown']:.1%} of the tokens of {split}"
    return [f"{name} does not know {share}, such as {named}: {advice}"]
