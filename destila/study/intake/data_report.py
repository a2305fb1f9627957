"""Report what a data set looks like before anything is trained. No torch.

Counts per split and label, lengths in words and in each model's tokens, what does not fit in a
window, unknown tokens, duplicates and overlap between splits, labels that only one split has, what
the loader dropped or repaired.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import chain, combinations
from typing import Any

import numpy as np

from destila import datasets
from destila.study.intake.data_checks import checks_of, imbalance, warnings_of
from destila.study.intake.default_models import config_of
from destila.study.intake.detect import IMBALANCED, largest_share
from destila.study.intake.languages import judge_texts
from destila.study.planning.recipe import Recipe
from destila.study.planning.texts import sample_unlabelled
from destila.tasks import task_of
from destila.tasks.span.windows import what_is_cut
from destila.teachers.made_texts.augment import count_augmented
from destila.tokenizer.tokenizer import Tokenizer, load_tokenizer
from destila.types import Dataset, Example, Task

_NAMED = 5
"""Unknown characters or words that are named, the most frequent ones."""

_ANSWERS = ("answered", "unanswerable")
"""What is counted of questions, whose labels, start and end, say nothing about the data."""


def report_data(recipe: Recipe) -> dict[str, Any]:
    """Return the report of `inspect` on a recipe's data, with the tokenizers of its models.

    `texts_for_the_teacher` counts what students learn from beside the training split, and
    `tokenizers_not_checked` says why some models are left out; both only where there is any.
    """
    # Models that cannot be looked at yet are named, not passed over.
    tokenizers, missing = _tokenizers(recipe)
    dataset = datasets.load(recipe.data)
    limits = _limits(recipe, tokenizers)
    report = inspect(dataset, tokenizers, recipe.max_length, limits, folds=recipe.folds)
    report["folds"] = recipe.folds
    is_weighted = recipe.metric is not None or recipe.train.class_weights != "none"
    if largest_share(dataset) > IMBALANCED and not is_weighted:
        report["checks"]["labels"].append(imbalance(largest_share(dataset)))

    report["warnings"] = warnings_of(report)
    if more := _texts_for_the_teacher(recipe, dataset):
        report["texts_for_the_teacher"] = more
    if missing:
        report["tokenizers_not_checked"] = missing
    return report


def inspect(
    dataset: Dataset,
    tokenizers: Mapping[str, Tokenizer],
    max_length: int,
    limits: Mapping[str, int] | None = None,
    *,
    folds: int = 0,
) -> dict[str, Any]:
    """Return a JSON-able report on a data set.

    splits: per split examples, units of each label (of questions: those with an answer and those
    without), lengths in words, repeated examples and those repeated with another label. tokenizers:
    per name and split, lengths in tokens (specials included), the share of tokens that are unknown
    and what the most frequent of them stand for, and the share of examples that do not fit in
    `max_length` (`truncated`; a tagger's long sentences and a question's long context are
    `windowed` and lose nothing). overlap: examples of the second split that the first one holds;
    questions whose context it holds. texts: shares of texts in other languages, with split accents
    or a broken encoding. checks: what a person should look at, with advice, by what it is about;
    warnings: all of them.

    Args:
        dataset: to report on.
        tokenizers: by the names of the models that read with them.
        max_length: tokens a window holds at most.
        limits: the most that the models of a tokenizer can read, by its name, where it is known.
        folds: of the cross-validation, beside which the test split does not matter; 0 for none.
    """
    # Of questions the labels are start and end, so answers are counted in their place.
    splits = dataset.splits
    task = task_of(dataset.task)
    labels = _ANSWERS if task.asks_questions else dataset.labels
    counts = {name: _count_labels(examples) for name, examples in splits.items()}
    unused = [label for label in labels if not any(count[label] for count in counts.values())]

    report: dict[str, Any] = {
        "dataset": dataset.name,
        "task": dataset.task,
        "labels": list(labels),
        "splits": {name: _split(splits[name], counts[name], labels) for name in splits},
        "tokenizers": {
            name: {
                split: _tokens(task, examples, tokenizer, max_length)
                for split, examples in splits.items()
            }
            for name, tokenizer in tokenizers.items()
        },
        "overlap": _overlap(splits, _context if task.asks_questions else _key),
        "labels_in_one_split": _labels_in_one_split(counts),
        "labels_without_examples": unused,
        "texts": {name: judge_texts([_whole(e) for e in splits[name]]) for name in splits},
        "notes": dict(dataset.notes),
    }

    # Warnings are drawn from the figures, so that they come last.
    report["checks"] = checks_of(report, max_length, limits or {}, folds=folds)
    if task.asks_questions:
        report["checks"]["models"] += _unfit(splits, tokenizers, max_length)
    report["warnings"] = warnings_of(report)
    return report


def _texts_for_the_teacher(recipe: Recipe, dataset: Dataset) -> dict[str, dict[str, int]]:
    """Return per student the texts beside the training split.

    Those of a file, and at most so many as can be made from the labelled texts.
    """
    texts: dict[str, dict[str, int]] = {}
    for student in recipe.students:
        # As the run will draw them, so that the counts are those of the training.
        options = recipe.distil_of(student)
        counts = {}
        if options.unlabelled is not None:
            counts["unlabelled"] = len(sample_unlabelled(options, dataset))
        if options.augment is not None:
            kind, copies = options.augment.kind, options.augment.copies
            counts[kind] = count_augmented(dataset, kind, copies)
        if counts:
            texts[student.label] = counts
    return texts


def _tokenizers(recipe: Recipe) -> tuple[dict[str, Tokenizer], dict[str, str]]:
    """Return tokenizers by the names of the models that use them, and why some are left out."""
    # Models with equal tokenizers share one column of the report.
    names: dict[str, list[str]] = {}
    tokenizers: dict[str, Tokenizer] = {}
    missing: dict[str, str] = {}
    for spec in (*recipe.teachers, *recipe.students):
        source = spec.tokenizer_source
        if source is None:
            missing[spec.label] = "its tokenizer is trained by the run"
            continue
        tokenizer = load_tokenizer(source)
        tokenizers[tokenizer.fingerprint] = tokenizer
        names.setdefault(tokenizer.fingerprint, []).append(spec.label)
    return {", ".join(names[key]): each for key, each in tokenizers.items()}, missing


def _count_labels(examples: Sequence[Example]) -> Counter[str]:
    """Count the units of each label."""
    counts: Counter[str] = Counter()
    for example in examples:
        counts.update(_targets(example))
    return counts


def _overlap(
    splits: Mapping[str, Sequence[Example]], shared: Callable[[Example], Any]
) -> dict[str, int]:
    """Return for every two splits how many examples of the second the first one shares."""
    seen = {name: {shared(example) for example in examples} for name, examples in splits.items()}
    return {
        f"{one}-{other}": sum(shared(example) in seen[one] for example in splits[other])
        for one, other in combinations(splits, 2)
    }


def _split(
    examples: Sequence[Example], counts: Counter[str], labels: Sequence[str]
) -> dict[str, Any]:
    """Return what a split holds: numbers of examples, labels, words and repeated texts."""
    # Every text once, with all that it is labelled as.
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
    """Return how a split is read by a tokenizer: lengths, unknown tokens, what does not fit.

    Args:
        task: tells whether words or texts are read, and whether long ones are cut.
        examples: of the split.
        tokenizer: of one or several models.
        max_length: tokens a window holds at most.
    """
    # The ids of every example, in the parts that the tokenizer reads one by one.
    if task.needs_words:
        sentences = tokenizer.words_many((e.text, e.words) for e in examples)
        rows = [[(e.text, w) for w in words] for e, words in zip(examples, sentences, strict=True)]
    else:
        firsts = tokenizer.text([e.text for e in examples])
        rows = [[(e.text, pieces)] for e, pieces in zip(examples, firsts, strict=True)]
        seconds = iter(tokenizer.text([e.pair for e in examples if e.pair is not None]))
        for row, example in zip(rows, examples, strict=True):
            if example.pair is not None:
                row.append((example.pair, next(seconds)))

    # Unknown tokens are counted among those of the text, lengths with the special tokens.
    specials = [tokenizer.special_count(e.pair is not None) for e in examples]
    lengths = [
        sum(len(pieces.ids) for _, pieces in row) + n for row, n in zip(rows, specials, strict=True)
    ]
    total = sum(lengths) - sum(specials)
    unknown: Counter[str] = Counter()
    for text, pieces in chain.from_iterable(rows):
        for start, end in pieces.spans[pieces.ids == tokenizer.unk_id].tolist():
            unknown[text[start:end]] += 1

    long = sum(length > max_length for length in lengths)
    return {
        "tokens": _spread(lengths),
        "unknown": unknown.total() / total if total else 0.0,
        "unknown_texts": dict(unknown.most_common(_NAMED)),
        "truncated" if task.truncates else "windowed": long / len(examples) if examples else 0.0,
    }


def _limits(recipe: Recipe, tokenizers: Mapping[str, Tokenizer]) -> dict[str, int]:
    """Return the most tokens that the models of each tokenizer can read, where it is known."""
    limits = {}
    for name, tokenizer in tokenizers.items():
        known = [tokenizer.max_length] if tokenizer.max_length else []
        readers = [s for s in (*recipe.teachers, *recipe.students) if s.label in name.split(", ")]
        for model in [spec.model for spec in readers if spec.model]:
            positions = (config_of(model) or {}).get("max_position_embeddings")
            if isinstance(positions, int):
                known.append(positions)
        if known:
            limits[name] = min(known)
    return limits


def _unfit(
    splits: Mapping[str, Sequence[Example]], tokenizers: Mapping[str, Tokenizer], max_length: int
) -> list[str]:
    """Return what is cut of questions that no window holds, the first of each split."""
    problems = []
    for name, tokenizer in tokenizers.items():
        longest = min(max_length, tokenizer.max_length or max_length)
        for split, examples in splits.items():
            first = next(what_is_cut(examples, tokenizer, max_length=longest), None)
            if first is not None:
                problems.append(f"{name}, {split}: {first}")
    return problems


def _labels_in_one_split(counts: Mapping[str, Counter[str]]) -> dict[str, str]:
    """Return the labels that exactly one of several splits has, and which one."""
    # With a single split there is nothing to compare.
    where: dict[str, list[str]] = {}
    for split, labels in counts.items():
        for label in labels:
            where.setdefault(label, []).append(split)
    if len(counts) == 1:
        return {}
    return {label: splits[0] for label, splits in sorted(where.items()) if len(splits) == 1}


def _spread(lengths: Iterable[int]) -> dict[str, float]:
    """Return mean, median, 95th percentile and largest of lengths."""
    values = np.array(list(lengths) or [0])
    p50, p95 = (float(np.percentile(values, q)) for q in (50, 95))
    return {"mean": float(values.mean()), "p50": p50, "p95": p95, "max": int(values.max())}


def _key(example: Example) -> tuple[str, str | None]:
    """Return what makes two examples the same text."""
    return example.text, example.pair


def _whole(example: Example) -> str:
    """Return both texts of an example as one."""
    return f"{example.text} {example.pair}" if example.pair else example.text


def _context(example: Example) -> str | None:
    """Return the context of a question, by which splits of questions overlap."""
    return example.pair


def _targets(example: Example) -> tuple[str, ...]:
    """Return the labels of an example; of a question, whether it has an answer."""
    if example.answers is not None:
        return (_ANSWERS[not example.answers],)
    if example.target is None:
        return ()
    return (example.target,) if isinstance(example.target, str) else example.target
