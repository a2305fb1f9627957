"""What is timed: the same calls for every model, under protocols that are never mixed in one column.

real         one text after another, batch 1, from the text to the labels
real-model   the same texts, the model alone on encoded input
throughput   the same texts in batches, from the text to the labels, per text
fixed-L      windows of L tokens of the file's own text, the model alone
random-L     L random ids without a mask; papers-512 at 512
ner-100      the 100 sentences of CoNLL-2002 that a thesis timed, one by one, 5 passes
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from destila import datasets
from destila.errors import ConfigError
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
from destila.measuring.profile import describe
from destila.measuring.targets import TimingTarget, needed
from destila.records import Latency
from destila.types import Example

THROUGHPUT, NER = "throughput", "ner-100"
NER_SENTENCES, NER_PASSES = 100, 5
_READ = 5000
"""Lines of a text file that the timed ones are taken from."""
_WINDOWS = 10
"""Windows of each fixed length that are timed."""


@dataclass(frozen=True, slots=True)
class Protocol:
    """Calls to be timed: call i of every model does the same work.

    length: of each model's input, in words. batch: texts per call.
    """

    name: str
    calls: tuple[Sequence[Call], ...]
    length: tuple[str, ...]
    repeats: int
    batch: int = 1


def on_texts(
    opened: Sequence[TimingTarget], examples: Sequence[Example], *, passes: int, batch: int
) -> list[Protocol]:
    """Real texts from text to label, the model alone on them, and in batches (0: not). Raises ConfigError for a preset."""
    real = _one_by_one(REAL, opened, examples, passes)
    alone = tuple([model.forward(rows) for rows in _windows(model, examples)] for model in opened)
    found = [real, replace(real, name=REAL_MODEL, calls=alone)]
    if batch:
        size = min(batch, len(examples))
        batches = [examples[i : i + size] for i in range(0, len(examples) - size + 1, size)]
        calls = tuple([partial(_predict, model, each) for each in batches] for model in opened)
        found.append(replace(real, name=THROUGHPUT, calls=calls, batch=size))
    return found


def ner_sentences(opened: Sequence[TimingTarget]) -> Protocol:
    """The 100 first test sentences of CoNLL-2002, five passes; raises DataError where the data are not."""
    sentences = datasets.load({"use": "conll2002"}).splits["test"][:NER_SENTENCES]
    return _one_by_one(NER, opened, sentences, NER_PASSES)


def fixed(
    opened: Sequence[TimingTarget], examples: Sequence[Example], length: int, repeats: int
) -> Protocol:
    """Windows of exactly `length` tokens, cut from the texts one after another, a frame of specials around each."""
    check(opened, length, least=3)
    cut = [_cut(_windows(model, examples), length) for model in opened]
    size = min(map(len, cut))
    calls = tuple(
        [model.forward([row]) for row in rows[:size]]
        for model, rows in zip(opened, cut, strict=True)
    )
    return Protocol(f"fixed-{length}", calls, (f"{length} tokens of text",) * len(opened), repeats)


def random(opened: Sequence[TimingTarget], length: int, repeats: int) -> Protocol:
    """One row of random ids: no mask, no token types, as the published measurement."""
    check(opened, length, least=1)
    name = PAPERS if length == PAPERS_LENGTH else f"random-{length}"
    calls = tuple([model.forward([random_ids(model, length)])] for model in opened)
    return Protocol(name, calls, (f"{length} random ids",) * len(opened), repeats)


def random_ids(model: TimingTarget, length: int) -> np.ndarray:
    """Ids [L] drawn evenly from the vocabulary, the same ones every time."""
    return np.random.default_rng(0).integers(model.config.vocab_size, size=length)


def timed(
    opened: Sequence[TimingTarget], protocol: Protocol, *, warmup: int, threads: int
) -> tuple[list[np.ndarray], list[Latency]]:
    """Milliseconds [repeats, calls] of every model, taking turns, and what they come to with their conditions."""
    named = {str(i): calls for i, calls in enumerate(protocol.calls)}
    waits = next((model.synchronize for model in opened if model.synchronize), None)
    times = time_paired(named, warmup=warmup, repeats=protocol.repeats, synchronize=waits)
    found = []
    for i, model in enumerate(opened):
        where = machine.conditions(
            device=model.device,
            threads=threads,
            batch=protocol.batch,
            length=protocol.length[i],
            dtype=model.dtype,
            backend=model.backend,
            warmup=warmup,
            repeats=times[str(i)].size,
        )
        found.append(summarise(protocol.name, times[str(i)], where))
    return [times[str(i)] for i in range(len(opened))], found


def ner_seconds(times: np.ndarray) -> float:
    """The published number of the ner-100 protocol: seconds per pass over the sentences, mean of the passes."""
    return float(times.sum(1).mean() / 1000)


def predict_all(model: TimingTarget, examples: Sequence[Example]) -> list[Call]:
    """Calls that label one text each, from the text to the labels."""
    return [partial(_predict, model, [example]) for example in examples]


def check(opened: Sequence[TimingTarget], length: int, *, least: int) -> None:
    """Refuses a length that a model cannot read with a ConfigError."""
    for model in opened:
        if not least <= length <= model.config.max_length:
            most = model.config.max_length
            raise ConfigError(
                f"length = {length}: {model.name} reads at most {most} tokens, and {least} are the least"
            )


def _one_by_one(
    name: str, opened: Sequence[TimingTarget], examples: Sequence[Example], passes: int
) -> Protocol:
    sizes = [[sum(map(len, rows)) for rows in _windows(model, examples)] for model in opened]
    calls = tuple(predict_all(model, examples) for model in opened)
    return Protocol(name, calls, tuple(describe(each, "tokens") for each in sizes), passes)


def _predict(model: TimingTarget, examples: Sequence[Example]) -> None:
    for _ in needed(model)[2].predict(examples):
        pass


def _windows(model: TimingTarget, examples: Sequence[Example]) -> list[list[np.ndarray]]:
    """Token ids of every window of every example."""
    reader, tokenizer, _ = needed(model)
    plain = [Example(e.id, e.text, e.pair if reader.has_pairs else None, e.words) for e in examples]
    encoded = reader.encode(plain, tokenizer, model.labels, max_length=model.window)
    found: list[list[np.ndarray]] = [[] for _ in examples]
    for window in encoded.features:
        found[window.row].append(window.input_ids)
    return found


def _cut(windows: Sequence[Sequence[np.ndarray]], length: int) -> list[np.ndarray]:
    """Up to _WINDOWS rows of `length` tokens; a short text is repeated until it fills one."""
    rows = [row for each in windows for row in each]
    first, last = rows[0][:1], rows[0][-1:]
    stream = np.concatenate([row[1:-1] for row in rows])
    inner = length - 2
    stream = np.tile(stream, -(-inner // len(stream)))
    chunks = [stream[i : i + inner] for i in range(0, len(stream) - inner + 1, inner)]
    return [np.concatenate([first, chunk, last]) for chunk in chunks[:_WINDOWS]]
