"""What is timed: the same calls for every model, under protocols that are never mixed.

real         one text after another, batch 1, from the text to the labels
real-model   the same texts, the model alone on encoded input
throughput   the same texts in batches, from the text to the labels, per text
fixed-L      windows of L tokens of the file's own text, the model alone
random-L     L random ids without a mask; papers-512 at 512
ner-100      the 100 sentences of CoNLL-2002 that a thesis timed, one by one, 5 times

A study's tests, `destila measure` and `destila measure presets` time by these functions alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from destila import datasets
from destila.errors import ConfigError
from destila.inference.session import TokenWindow
from destila.measuring import machine
from destila.measuring.latency import (
    PAPERS,
    PAPERS_LENGTH,
    REAL,
    REAL_MODEL,
    Call,
    summarise,
    time_paired,
)
from destila.measuring.targets import TimingTarget, required_predictor, required_task
from destila.records import Latency
from destila.types import Example

THROUGHPUT, NER = "throughput", "ner-100"
NER_SENTENCES, NER_REPEATS = 100, 5

_WINDOWS = 10
"""Windows of each fixed length that are timed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Protocol:
    """Calls to be timed.

    Args:
        name: of the protocol.
        calls: of each target; call i of every target does the same work.
        length: of each target's input, in words.
        repeats: how often all the calls are timed.
        batch: texts of a call.
    """

    name: str
    calls: tuple[Sequence[Call], ...]
    length: tuple[str, ...]
    repeats: int
    batch: int = 1


def real_texts(
    targets: Sequence[TimingTarget], examples: Sequence[Example], repeats: int, name: str = REAL
) -> Protocol:
    """Return the protocol of real texts one by one, from the text to the labels.

    Args:
        targets: what is timed.
        examples: the texts.
        repeats: how often all of them are timed.
        name: of the protocol.

    Raises:
        ConfigError: a target is a preset, which cannot read.
    """
    calls = tuple(labelling_calls(target, examples) for target in targets)
    length = tuple(_lengths(target, examples) for target in targets)
    return Protocol(name=name, calls=calls, length=length, repeats=repeats)


def model_alone(
    targets: Sequence[TimingTarget], examples: Sequence[Example], repeats: int
) -> Protocol:
    """Return the protocol of real texts, encoded already; all windows of a text are one call.

    Args:
        targets: what is timed; each has a `forward`.
        examples: the texts.
        repeats: how often all of them are timed.
    """
    # Encoded here, before anything is timed.
    calls = []
    for target in targets:
        texts = _windows(target, examples)
        calls.append([_forward(target, windows) for windows in texts])
    length = tuple(_lengths(target, examples) for target in targets)
    return Protocol(name=REAL_MODEL, calls=tuple(calls), length=length, repeats=repeats)


def throughput(
    targets: Sequence[TimingTarget], examples: Sequence[Example], repeats: int, batch: int
) -> Protocol:
    """Return the protocol of real texts in full batches, from the texts to the labels.

    Args:
        targets: what is timed.
        examples: the texts; those behind the last full batch are left out.
        repeats: how often all of them are timed.
        batch: texts at once; fewer where there are not so many.
    """
    size = min(batch, len(examples))
    starts = range(0, len(examples) - size + 1, size)
    batches = [examples[start : start + size] for start in starts]
    calls = tuple([partial(_label, target, texts) for texts in batches] for target in targets)
    length = tuple(_lengths(target, examples) for target in targets)
    return Protocol(name=THROUGHPUT, calls=calls, length=length, repeats=repeats, batch=size)


def ner_sentences(targets: Sequence[TimingTarget]) -> Protocol:
    """Return the protocol of the 100 first test sentences of CoNLL-2002, five times.

    Raises:
        DataError: the data are not here.
    """
    sentences = datasets.load({"use": "conll2002"}).splits["test"][:NER_SENTENCES]
    return real_texts(targets, sentences, NER_REPEATS, NER)


def fixed_length(
    targets: Sequence[TimingTarget], examples: Sequence[Example], length: int, repeats: int
) -> Protocol:
    """Return the protocol of windows of exactly `length` tokens, cut from the texts in order.

    Args:
        targets: what is timed.
        examples: the texts; too short ones are repeated.
        length: tokens of a window, the two specials around it included.
        repeats: how often each window is timed.

    Raises:
        ConfigError: a target cannot read so many tokens.
    """
    _check_length(targets, length, least=3)
    # As many windows of each target: a tokenizer with longer pieces gives fewer.
    windows = [_cut(_windows(target, examples), length) for target in targets]
    count = min(map(len, windows))
    calls = tuple(
        [_forward(target, [window]) for window in own[:count]]
        for target, own in zip(targets, windows, strict=True)
    )
    words = (f"{length} tokens of text",) * len(targets)
    return Protocol(name=f"fixed-{length}", calls=calls, length=words, repeats=repeats)


def random_length(targets: Sequence[TimingTarget], length: int, repeats: int) -> Protocol:
    """Return the protocol of one window of random ids, as the published measurement.

    Args:
        targets: what is timed.
        length: tokens of the window.
        repeats: how often it is timed.

    Raises:
        ConfigError: a target cannot read so many tokens.
    """
    _check_length(targets, length, least=1)
    name = PAPERS if length == PAPERS_LENGTH else f"random-{length}"
    calls = tuple([random_call(target, length)] for target in targets)
    words = (f"{length} random ids",) * len(targets)
    return Protocol(name=name, calls=calls, length=words, repeats=repeats)


def time_protocol(
    targets: Sequence[TimingTarget], protocol: Protocol, *, warmup: int, threads: int
) -> tuple[list[np.ndarray], list[Latency]]:
    """Time the calls of a protocol, the targets taking turns.

    Args:
        targets: those that the protocol was made for.
        protocol: what is timed.
        warmup: untimed calls of each before.
        threads: really in use, for the conditions.

    Returns:
        Milliseconds [repeats, calls] of every target, and its Latency.
    """
    # By number: two targets may have the same name.
    calls = {str(i): own for i, own in enumerate(protocol.calls)}
    synchronize = next((t.synchronize for t in targets if t.synchronize), None)
    times = time_paired(calls, warmup=warmup, repeats=protocol.repeats, synchronize=synchronize)

    latencies = []
    for i, target in enumerate(targets):
        conditions = machine.conditions(
            device=target.device,
            threads=threads,
            batch=protocol.batch,
            length=protocol.length[i],
            dtype=target.dtype,
            backend=target.backend,
            warmup=warmup,
            repeats=times[str(i)].size,
        )
        latencies.append(summarise(protocol.name, times[str(i)], conditions))
    return [times[str(i)] for i in range(len(targets))], latencies


def ner_seconds(times: np.ndarray) -> float:
    """Return the published number of ner-100: seconds for all sentences, mean of the repeats.

    Args:
        times: milliseconds [repeats, sentences].
    """
    return float(times.sum(1).mean() / 1000)


def labelling_calls(target: TimingTarget, examples: Sequence[Example]) -> list[Call]:
    """Return calls that label one text each, from the text to the labels."""
    return [partial(_label, target, [example]) for example in examples]


def random_call(target: TimingTarget, length: int) -> Call:
    """Return a call of the model alone on ids drawn evenly, the same ones every time."""
    assert target.config is not None, "only a model of known shape reads random ids"
    # Evenly from the vocabulary, as the published measurement draws them.
    ids = np.random.default_rng(0).integers(target.config.vocab_size, size=length)  # [L]
    return _forward(target, [(ids, np.zeros_like(ids))])


def _check_length(targets: Sequence[TimingTarget], length: int, *, least: int) -> None:
    """Raise ConfigError when a target cannot read windows of a length."""
    for target in targets:
        if not least <= length <= target.longest:
            raise ConfigError(
                f"length = {length}: {target.name} reads at most {target.longest} tokens, "
                f"and {least} are the least"
            )


def describe_lengths(lengths: Sequence[int], unit: str) -> str:
    """Return a distribution of lengths in words: "real: median 31, p95 78, max 120 tokens"."""
    middle, high = np.percentile(lengths, [50, 95])
    return f"real: median {middle:.0f}, p95 {high:.0f}, max {max(lengths)} {unit}"


def _lengths(target: TimingTarget, examples: Sequence[Example]) -> str:
    """Return the lengths of texts in the target's tokens; in words where it has none."""
    if target.tokenizer is None and target.forward is None:  # a baseline
        sizes = [len(e.words) or len(f"{e.text} {e.pair or ''}".split()) for e in examples]
        return describe_lengths(sizes, "words")

    texts = _windows(target, examples)
    return describe_lengths([sum(len(ids) for ids, _ in windows) for windows in texts], "tokens")


def _label(target: TimingTarget, examples: Sequence[Example]) -> None:
    for _ in required_predictor(target).predict(examples):
        pass


def _forward(target: TimingTarget, windows: Sequence[TokenWindow]) -> Call:
    assert target.forward is not None, "a baseline has no model that stands alone"
    return target.forward(windows)


def _windows(target: TimingTarget, examples: Sequence[Example]) -> list[list[TokenWindow]]:
    """Return every window of every example."""
    task, tokenizer = required_task(target)
    plain = [Example(e.id, e.text, e.pair if task.has_pairs else None, e.words) for e in examples]
    encoded = task.encode(plain, tokenizer, target.labels, max_length=target.window)

    windows: list[list[TokenWindow]] = [[] for _ in examples]
    for feature in encoded.features:
        windows[feature.row].append((feature.input_ids, feature.type_ids))
    return windows


def _cut(texts: Sequence[Sequence[TokenWindow]], length: int) -> list[TokenWindow]:
    """Return up to _WINDOWS windows of `length` tokens, each between the two specials.

    A short text is repeated until it fills one.
    """
    rows = [ids for windows in texts for ids, _ in windows]  # [L] each
    first, last = rows[0][:1], rows[0][-1:]
    inner = length - 2

    # One stream of all the texts' tokens, repeated until it fills a window.
    stream = np.concatenate([row[1:-1] for row in rows])  # [N]
    stream = np.tile(stream, -(-inner // len(stream)))
    starts = range(0, len(stream) - inner + 1, inner)
    chunks = [stream[start : start + inner] for start in starts]

    cut = [np.concatenate([first, chunk, last]) for chunk in chunks[:_WINDOWS]]
    return [(ids, np.zeros_like(ids)) for ids in cut]
