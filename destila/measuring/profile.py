"""Latency of any predictor under the protocols of `latency`: a torch model, a CRF, a linear classifier.

The caller hands over plain callables, so this room knows neither torch nor the baselines.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import numpy as np

from destila.measuring import machine
from destila.measuring.latency import (
    PAPERS,
    PAPERS_LENGTH,
    PAPERS_WARMUP,
    REAL,
    REAL_MODEL,
    Call,
    summarise,
    time_paired,
)
from destila.measuring.sample_texts import spread
from destila.records import Latency
from destila.types import Example


def profile(
    predict_one: Callable[[Example], object],
    examples: Sequence[Example],
    *,
    threads: int,
    device: str = "cpu",
    dtype: str = "float32",
    backend: str = "torch",
    texts: int = 100,
    repeats: int = 3,
    warmup: int = 10,
    lengths: Sequence[int] | None = None,
    model_only: Callable[[Example], Call] | None = None,
    random_512: Call | None = None,
    papers_repeats: int = 100,
    synchronize: Call | None = None,
) -> list[Latency]:
    """Latencies on up to `texts` real examples ("real", "real-model") and on random ids ("papers-512").

    predict_one: from the text to the labels. lengths: tokens of every example, for the conditions; words where
    None. model_only: an example -> a call of the model alone on its encoded input; None leaves that protocol out.
    random_512: a call of the model on 512 random ids; None leaves it out. No examples, no latency.
    """
    where = partial(
        machine.conditions, device=device, threads=threads, batch=1, dtype=dtype, backend=backend
    )
    found: list[Latency] = []
    chosen = spread(examples, texts)
    if chosen:
        calls: dict[str, list[Call]] = {REAL: [partial(predict_one, example) for example in chosen]}
        if model_only is not None:
            calls[REAL_MODEL] = [model_only(example) for example in chosen]
        sizes = (
            [_words(example) for example in chosen] if lengths is None else spread(lengths, texts)
        )
        length = describe(sizes, "words" if lengths is None else "tokens")
        for name, times in time_paired(
            calls, warmup=warmup, repeats=repeats, synchronize=synchronize
        ).items():
            found.append(
                summarise(name, times, where(length=length, warmup=warmup, repeats=times.size))
            )
    if random_512 is not None:
        papers = {PAPERS: [random_512]}
        times = time_paired(
            papers, warmup=PAPERS_WARMUP, repeats=papers_repeats, synchronize=synchronize
        )[PAPERS]
        length = f"{PAPERS_LENGTH} random ids"
        found.append(
            summarise(PAPERS, times, where(length=length, warmup=PAPERS_WARMUP, repeats=times.size))
        )
    return found


def describe(lengths: Sequence[int], unit: str) -> str:
    """The distribution of lengths in words: "real: median 31, p95 78, max 120 tokens"."""
    middle, high = np.percentile(lengths, [50, 95])
    return f"real: median {middle:.0f}, p95 {high:.0f}, max {max(lengths)} {unit}"


def _words(example: Example) -> int:
    return len(example.words) or len(f"{example.text} {example.pair or ''}".split())
