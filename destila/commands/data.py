"""Check a recipe's data before training.

Counts per split and label, lengths in words and in each model's tokens, what does not fit in a window, unknown
tokens, duplicates and overlap between splits, labels that only one split has, what the loader dropped or repaired.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from itertools import combinations
from typing import Any

import numpy as np

from destila import datasets
from destila.config import RecipeOptions
from destila.errors import TokenizerError
from destila.study.planning.recipe import Recipe, read_recipe
from destila.study.planning.texts import sample_unlabelled
from destila.tasks import task_of
from destila.tasks.span.windows import check_fit
from destila.teachers.augment import count_augmented
from destila.tokenizer.tokenizer import Tokenizer, load_tokenizer
from destila.types import Dataset, Example, Task

_ANSWERS = ("answered", "unanswerable")
"""What is counted of questions, whose labels, start and end, say nothing about the data."""

PANEL = "A study"


class Config(RecipeOptions):
    """Whose data."""


def run(config: Config) -> dict[str, Any]:
    """The report of `inspect` for a recipe's data and the tokenizers of its models."""
    recipe = read_recipe(config.recipe, config.set)
    tokenizers, missing = _tokenizers(recipe)
    dataset = datasets.load(recipe.data)
    report = inspect(dataset, tokenizers, recipe.max_length)
    if more := _more(recipe, dataset):
        report["texts_for_the_teacher"] = more
    return report | ({"tokenizers_not_checked": missing} if missing else {})


def inspect(
    dataset: Dataset, tokenizers: Mapping[str, Tokenizer], max_length: int
) -> dict[str, Any]:
    """A JSON-able report on a data set.

    splits: per split examples, units of each label (of questions: those with an answer and those without), lengths in
    words, repeated examples and those repeated with another label. tokenizers: per name and split, lengths in tokens
    (specials included), the share of tokens that are unknown, and of examples that do not fit in `max_length`
    (`truncated`; a tagger's long sentences and a question's long context are `windowed` and lose nothing). overlap:
    examples of the second split that the first one holds; questions whose context it holds.
    """
    splits = dataset.splits
    task = task_of(dataset.task)
    labels = _ANSWERS if task.asks_questions else dataset.labels
    shared = _context if task.asks_questions else _key
    seen = {name: {shared(e) for e in examples} for name, examples in splits.items()}
    overlap = {
        f"{a}-{b}": sum(shared(e) in seen[a] for e in splits[b]) for a, b in combinations(splits, 2)
    }
    counts = {
        name: Counter(t for e in examples for t in _targets(e)) for name, examples in splits.items()
    }
    report: dict[str, Any] = {
        "dataset": dataset.name,
        "task": dataset.task,
        "labels": list(labels),
        "splits": {
            name: _split(examples, counts[name], labels) for name, examples in splits.items()
        },
        "tokenizers": {
            name: {
                split: _tokens(task, examples, tokenizer, max_length)
                for split, examples in splits.items()
            }
            for name, tokenizer in tokenizers.items()
        },
        "overlap": overlap,
        "labels_in_one_split": _lonely(counts),
        "labels_without_examples": [
            label for label in labels if not any(c[label] for c in counts.values())
        ],
        "notes": dict(dataset.notes),
    }
    unfit = _unfit(splits, tokenizers, max_length) if task.asks_questions else []
    return report | {"warnings": _warnings(report, max_length) + unfit}


def _more(recipe: Recipe, dataset: Dataset) -> dict[str, dict[str, int]]:
    """Texts beside the training split per student: lines of a file and, at most, those made from the labelled texts."""
    found: dict[str, dict[str, int]] = {}
    known = {e.text for split in dataset.splits.values() for e in split}
    for student in recipe.students:
        options = recipe.distil_of(student)
        counts = {}
        if options.unlabelled is not None:
            lines = sample_unlabelled(options.unlabelled, options.unlabelled_limit, known)
            counts["unlabelled"] = len(lines)
        if options.augment is not None:
            counts[options.augment.kind] = count_augmented(
                dataset, options.augment.kind, options.augment.copies
            )
        if counts:
            found[student.label] = counts
    return found


def _tokenizers(recipe: Recipe) -> tuple[dict[str, Tokenizer], dict[str, str]]:
    """Tokenizers by the names of the models that use them, and why some models are left out."""
    names: dict[str, list[str]] = {}
    found: dict[str, Tokenizer] = {}
    missing: dict[str, str] = {}
    for spec in (*recipe.teachers, *recipe.students):
        source = spec.tokenizer_source
        if source is None:
            missing[spec.label] = "its tokenizer is trained by the run"
            continue
        tokenizer = load_tokenizer(source)
        found[tokenizer.fingerprint] = tokenizer
        names.setdefault(tokenizer.fingerprint, []).append(spec.label)
    return {", ".join(names[key]): tokenizer for key, tokenizer in found.items()}, missing


def _split(
    examples: Sequence[Example], counts: Counter[str], labels: Sequence[str]
) -> dict[str, Any]:
    targets: dict[tuple[str, str | None], set[Any]] = {}
    for example in examples:
        targets.setdefault(_key(example), set()).add((example.target, example.answers))
    return {
        "examples": len(examples),
        "labels": {label: counts[label] for label in labels},
        "words": _spread(
            len(e.words) or len(e.text.split()) + len((e.pair or "").split()) for e in examples
        ),
        "repeated": len(examples) - len(targets),
        "repeated_with_another_label": sum(len(t) > 1 for t in targets.values()),
    }


def _tokens(
    task: Task, examples: Sequence[Example], tokenizer: Tokenizer, max_length: int
) -> dict[str, Any]:
    if task.needs_words:
        rows = [
            [w.ids for w in words]
            for words in tokenizer.words_many((e.text, e.words) for e in examples)
        ]
    else:
        rows = [[pieces.ids] for pieces in tokenizer.text([e.text for e in examples])]
        seconds = iter(tokenizer.text([e.pair for e in examples if e.pair is not None]))
        for row, example in zip(rows, examples, strict=True):
            if example.pair is not None:
                row.append(next(seconds).ids)
    specials = [tokenizer.special_count(e.pair is not None) for e in examples]
    lengths = [sum(map(len, row)) + n for row, n in zip(rows, specials, strict=True)]
    total = sum(lengths) - sum(specials)
    unknown = sum(int(np.count_nonzero(ids == tokenizer.unk_id)) for row in rows for ids in row)
    long = sum(length > max_length for length in lengths)
    return {
        "tokens": _spread(lengths),
        "unknown": unknown / total if total else 0.0,
        "truncated" if task.truncates else "windowed": long / len(examples) if examples else 0.0,
    }


def _unfit(
    splits: Mapping[str, Sequence[Example]], tokenizers: Mapping[str, Tokenizer], max_length: int
) -> list[str]:
    """What of each split of questions a window cannot hold, the first of each: a run stops there."""
    found = []
    for name, tokenizer in tokenizers.items():
        for split, examples in splits.items():
            try:
                check_fit(
                    examples,
                    tokenizer,
                    max_length=min(max_length, tokenizer.max_length or max_length),
                )
            except TokenizerError as error:
                found.append(f"{name}, {split}: {error}")
    return found


def _lonely(counts: Mapping[str, Counter[str]]) -> dict[str, str]:
    """Labels that exactly one split has -> that split."""
    where: dict[str, list[str]] = {}
    for split, found in counts.items():
        for label in found:
            where.setdefault(label, []).append(split)
    return {
        label: splits[0]
        for label, splits in sorted(where.items())
        if len(splits) == 1 and len(counts) > 1
    }


def _warnings(report: Mapping[str, Any], max_length: int) -> list[str]:
    """What a person should look at before training, in plain words."""
    found = [
        f"{n} {pair.split('-')[1]} examples also occur in {pair.split('-')[0]}"
        for pair, n in report["overlap"].items()
        if n
    ]
    for split, part in report["splits"].items():
        if n := part["repeated_with_another_label"]:
            found.append(f"{n} texts of {split} occur with more than one label")
    found += [
        f"label '{label}' occurs in {split} only"
        for label, split in report["labels_in_one_split"].items()
    ]
    for name, splits in report["tokenizers"].items():
        for split, part in splits.items():
            if part.get("truncated", 0) > 0.05:
                found.append(
                    f"{name} cuts {part['truncated']:.0%} of {split} at {max_length} tokens: raise max_length"
                )
            if part["unknown"] > 0.01:
                found.append(
                    f"{name} does not know {part['unknown']:.1%} of the tokens of {split}: wrong tokenizer or case?"
                )
    return found


def _spread(lengths: Iterable[int]) -> dict[str, float]:
    values = np.array(list(lengths) or [0])
    p50, p95 = (float(np.percentile(values, q)) for q in (50, 95))
    return {"mean": float(values.mean()), "p50": p50, "p95": p95, "max": int(values.max())}


def _key(example: Example) -> tuple[str, str | None]:
    return example.text, example.pair


def _context(example: Example) -> str | None:
    return example.pair


def _targets(example: Example) -> tuple[str, ...]:
    if example.answers is not None:
        return (_ANSWERS[not example.answers],)
    if example.target is None:
        return ()
    return (example.target,) if isinstance(example.target, str) else example.target
