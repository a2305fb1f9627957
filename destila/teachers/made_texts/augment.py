"""New texts for a teacher to label, made from the labelled ones, without torch; see `fill.py` too.

    swap   an entity gives way to another of its type from the training set, with its BIO labels
    fill   some words give way to others that a masked language model finds likely there
    cross  the texts of pairs meet in other pairs, without a label
    case   all is written in CAPITALS or in lower case

Of the first two, some may be written in CAPITALS or in lower case for the student, while the
teacher reads them as they were (`recase`). Every choice depends on (seed, copy, text) and on what
there is to choose from, not on the order of texts. A text that is already known is never made: the
test set stays unseen.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from destila.errors import CacheError, ConfigError
from destila.files import write_text
from destila.hub import cache_root
from destila.reading.values import parse_json
from destila.tasks import task_of
from destila.tasks.case import CASES, change_case
from destila.tasks.metrics import entities, is_bio
from destila.teachers.cache import WRITTEN, example_keys
from destila.types import CharSpan, Dataset, Example

log = logging.getLogger(__name__)

Random = np.random.Generator


@dataclass(frozen=True, slots=True)
class Edit:
    """Words [first, last) of a text give way to `words`."""

    first: int
    last: int
    words: tuple[str, ...]


def apply_edits(
    text: str, words: Sequence[CharSpan], edits: Sequence[Edit]
) -> tuple[str, tuple[CharSpan, ...]]:
    """Return a text with other words in some places, and the spans of its words.

    What stands between words stays. New words of one edit are joined by a blank.

    Args:
        text: before.
        words: the spans of its words.
        edits: in order, not overlapping.
    """
    edit_at = {edit.first: edit for edit in edits}
    parts: list[str] = []
    spans: list[CharSpan] = []
    size = 0  # of the new text
    end = 0  # of the last word of the old text that is done
    i = 0

    while i < len(words):
        start, stop = words[i]
        edit = edit_at.get(i) or Edit(i, i + 1, (text[start:stop],))

        gap = text[end:start]
        for word in edit.words:
            parts += [gap, word]
            spans.append((size + len(gap), size + len(gap) + len(word)))
            size += len(gap) + len(word)
            gap = " "

        end = words[edit.last - 1][1]
        i = edit.last

    parts.append(text[end:])
    return "".join(parts), tuple(spans)


def text_generators(
    examples: Sequence[Example], copies: int, seed: int
) -> Iterable[tuple[int, int, Random]]:
    """Yield (copy, position, its own generator) of every text to be made.

    Equal texts have equal generators.
    """
    for position, (low, high) in enumerate(example_keys(examples)):
        for copy in range(copies):
            yield copy, position, np.random.default_rng([seed, copy, int(low), int(high)])


def swap_entities(
    examples: Sequence[Example], *, copies: int, share: float, seed: int
) -> list[Example]:
    """Return tagged sentences with some of their entities exchanged for others of the same type.

    The labels follow: an entity's words are called B-, I- as in the sentence it comes from.
    Sentences without entities, and entities whose type has no other, are left out.

    Args:
        examples: tagged sentences.
        copies: of each one.
        share: of its entities that are exchanged, at least one.
        seed: of every choice.
    """
    spans_of = [entities(e.target) if isinstance(e.target, tuple) else [] for e in examples]

    # what an entity may give way to, by type
    pool: dict[str, set[tuple[str, ...]]] = {}
    for example, spans in zip(examples, spans_of, strict=True):
        for kind, first, last in spans:
            pool.setdefault(kind, set()).add(_words(example)[first:last])
    choices = {kind: sorted(words) for kind, words in pool.items()}

    swapped = []
    for copy, i, random in text_generators(examples, copies, seed):
        spans = [span for span in spans_of[i] if len(choices[span[0]]) > 1]
        if spans:
            name = f"{examples[i].id}-swap{copy}"
            swapped.append(_swap(examples[i], spans, choices, share, random, name))
    return swapped


def _swap(
    example: Example,
    spans: Sequence[tuple[str, int, int]],
    choices: dict[str, list[tuple[str, ...]]],
    share: float,
    random: Random,
    name: str,
) -> Example:
    """Return an example with some entities exchanged, and the labels of their words.

    Args:
        example: a tagged sentence.
        spans: its entities (type, first word, last word + 1) that may be exchanged.
        choices: by type, the words of every entity.
        share: of the entities that are exchanged, at least one.
        random: of this text.
        name: the id of the new one.
    """
    old_labels = example.target or ()
    count = max(1, round(share * len(spans)))
    edits: list[Edit] = []
    labels: list[str] = []
    end = 0  # of the words whose labels are done

    for chosen in sorted(random.choice(len(spans), count, replace=False)):
        kind, first, last = spans[chosen]
        own = _words(example)[first:last]
        others = [words for words in choices[kind] if words != own]
        words = others[random.integers(len(others))]

        edits.append(Edit(first, last, words))
        labels += [*old_labels[end:first], f"B-{kind}", *[f"I-{kind}"] * (len(words) - 1)]
        end = last

    labels += old_labels[end:]
    text, places = apply_edits(example.text, example.words, edits)
    return Example(name, text, words=places, target=tuple(labels))


def cross_pairs(
    examples: Sequence[Example], *, copies: int, share: float, seed: int
) -> list[Example]:
    """Return pairs without labels whose texts come from labelled ones.

    A text and those that it is paired with belong together: a premise and its hypotheses, two
    sentences. Either both texts of a new pair do, in some order, or the second belongs to another.

    Args:
        examples: pairs.
        copies: of each one.
        share: of the new pairs whose texts belong together.
        seed: of every choice.
    """
    together: dict[str, list[str]] = {}
    for example in examples:
        together.setdefault(example.text, [example.text]).append(example.pair or "")
    seconds = sorted({example.pair or "" for example in examples})

    crossed = []
    for copy, i, random in text_generators(examples, copies, seed):
        first, name = examples[i].text, f"{examples[i].id}-cross{copy}"
        second = seconds[random.integers(len(seconds))]
        if random.random() < share:
            own = together[first]
            first, second = (own[at] for at in random.choice(len(own), 2, replace=False))
        crossed.append(Example(name, first, second))
    return crossed


def count_augmented(dataset: Dataset, kind: str, copies: int) -> int:
    """Return how many texts there will be at most.

    Raises:
        ConfigError: the data set cannot give them.
    """
    train = dataset.splits["train"]
    if task_of(dataset.task).asks_questions:
        raise ConfigError(
            "distil.augment: not for questions, whose answers would lose their places; leave it out"
        )
    if kind in ("fill", "case"):
        return copies * len(train)
    if kind == "cross":
        if all(e.pair is None for e in train):
            raise ConfigError(
                f"distil.augment.kind = 'cross' needs pairs, which '{dataset.name}' has not: use "
                "'fill'"
            )
        return copies * len(train)
    if not task_of(dataset.task).needs_words or not is_bio(dataset.labels):
        raise ConfigError(
            f"distil.augment.kind = 'swap' needs B- and I- labels, "
            f"which '{dataset.name}' has not: use 'fill'"
        )

    # a sentence without entities has nothing to exchange
    return copies * sum(bool(isinstance(e.target, tuple) and entities(e.target)) for e in train)


def keep_new(made: Iterable[Example], known: Iterable[Example]) -> list[Example]:
    """Return the examples whose text is neither known nor made before."""
    seen = {(example.text, example.pair) for example in known}
    kept = []
    for example in made:
        if (example.text, example.pair) not in seen:
            seen.add((example.text, example.pair))
            kept.append(example)
    return kept


def recase(examples: Sequence[Example], share: float, seed: int) -> list[Example]:
    """Return examples of which some are in capitals or, as often, in lower case.

    Those keep the text as it was for their teacher, who need not know how to read them.

    Args:
        examples: made ones.
        share: of them that change.
        seed: of every choice.
    """
    changed = list(examples)
    for _, i, random in text_generators(examples, 1, seed):
        if random.random() < share:
            case = sorted(CASES)[random.integers(len(CASES))]
            (other,) = change_case([examples[i]], case)
            changed[i] = replace(other, meta={**other.meta, WRITTEN: examples[i].text})
    return changed


def recased_copies(
    examples: Sequence[Example], *, copies: int, share: float, seed: int
) -> list[Example]:
    """Return copies of some examples, each in capitals or in lower case, with their labels.

    Args:
        examples: labelled ones.
        copies: of each one, at most.
        share: of all copies that are made.
        seed: of every choice.
    """
    made: list[Example] = []
    for copy in range(copies):
        named = [replace(example, id=f"{example.id}-case{copy}") for example in examples]
        changed = recase(named, share, seed + copy)
        made += [new for new, old in zip(changed, named, strict=True) if new is not old]
    return made


def load_or_make(key: str, make: Callable[[], list[Example]]) -> list[Example]:
    """Return the examples of a key, made once and kept in `$DESTILA_CACHE/augment`.

    Raises:
        CacheError: the file is damaged.
    """
    path = augment_file(key)
    if not path.exists():
        made = make()
        rows = ([e.id, e.text, e.pair, e.words, e.target, e.meta.get(WRITTEN)] for e in made)
        write_text(path, "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))
        return made

    try:
        lines = path.read_text(encoding="utf-8").split("\n")  # a text may hold other line ends
        return [_example(*parse_json(line)) for line in lines if line]
    except (ValueError, TypeError) as error:
        raise CacheError(f"{path} is damaged ({error}): delete it, and it is made again") from error


def augment_file(key: str) -> Path:
    """Return where the examples of a key are kept."""
    return cache_root() / "augment" / f"{key}.jsonl"


def _example(
    id: str,
    text: str,
    pair: str | None,
    words: list[list[int]],
    target: list[str] | str | None,
    written: str | None = None,
) -> Example:
    """Return the example of one line, whose tuples JSON has turned into lists."""
    spans = tuple((start, end) for start, end in words)
    gold = tuple(target) if isinstance(target, list) else target
    return Example(id, text, pair, spans, gold, meta={} if written is None else {WRITTEN: written})


def _words(example: Example) -> tuple[str, ...]:
    return tuple(example.text[start:end] for start, end in example.words)
