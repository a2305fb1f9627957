"""Memory of the windows of a large question set: encodes invented questions, then reads every window in random order.

    python benchmarks/qa_memory.py [--questions 100000] [--per-context 5] [--words 120] [--max-length 192] [--tokenizer FOLDER]

Prints one JSON line. Contexts and questions are made of invented words when asked for, so that the data set's own memory is
not in the measurement. Anonymous pages (`smaps_rollup`, Linux) are memory the process needs; file-backed pages belong to
the mapped file of windows and the system can drop them at any time, so they are reported apart. Sampled while encoding (by
a thread) and while reading. The bar: anonymous memory, all of the process, stays under 1 GB at 100,000 questions.
"""

from __future__ import annotations

import argparse
import json
import platform
import threading
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from destila.text.learn import learn
from destila.text.span import SpanReader
from destila.text.tokenizer import Tokenizer, load
from destila.types import Example

MEGABYTE = 1e6
SYLLABLES = ("ca", "sa", "ño", "ri", "ver", "men", "to", "pa", "lu", "gar", "ción", "es", "tra", "bue", "na", "que")


class Invented(Sequence[Example]):
    """Questions on contexts of invented words, each context with `per_context` of them in a row."""

    def __init__(self, questions: int, per_context: int, words: int) -> None:
        self.questions, self.per_context, self.words = questions, per_context, words
        random = np.random.default_rng(0)
        self.vocabulary = ["".join(random.choice(SYLLABLES, random.integers(1, 5))) for _ in range(20_000)]

    def __len__(self) -> int:
        return self.questions

    def __getitem__(self, i: int | slice) -> Example | list[Example]:
        if isinstance(i, slice):
            return [self[j] for j in range(self.questions)[i]]
        if not 0 <= i < self.questions:
            raise IndexError(i)
        context = self.text(i // self.per_context, self.words)
        start = context.index(" ", 40) + 1
        return Example(
            str(i), self.text(i + self.questions, 12), context, answers=((start, context.index(" ", start)),)
        )

    def text(self, seed: int, words: int) -> str:
        """A text that depends on the seed alone."""
        return " ".join(
            self.vocabulary[k] for k in np.random.default_rng(seed).integers(0, len(self.vocabulary), words)
        )


class Peak(threading.Thread):
    """Samples this process's memory until stopped: the highest anonymous and file-backed megabytes."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.anonymous = self.backed = 0.0
        self.over = threading.Event()

    def run(self) -> None:
        """Samples four times a second."""
        while not self.over.wait(0.25):
            self.sample()

    def sample(self) -> None:
        """One look."""
        anonymous, backed = memory()
        self.anonymous, self.backed = max(self.anonymous, anonymous), max(self.backed, backed)


def memory() -> tuple[float, float]:
    """Anonymous and file-backed resident megabytes of this process."""
    lines = Path("/proc/self/smaps_rollup").read_text().splitlines()
    kb = {name: float(rest.split()[0]) for name, _, rest in (line.partition(":") for line in lines[1:])}
    return kb["Anonymous"] * 1024 / MEGABYTE, (kb["Rss"] - kb["Anonymous"]) * 1024 / MEGABYTE


def tokenizer_of(options: argparse.Namespace, data: Invented) -> Tokenizer:
    """The tokenizer in a folder, else one learnt from the invented words."""
    if options.tokenizer:
        return load(options.tokenizer)
    return learn(
        [data.text(seed, 200) for seed in range(200)], kind="bpe", vocab_size=8000, max_length=options.max_length
    )


def measure(options: argparse.Namespace) -> dict[str, float]:
    """Encodes, reads every window in random order; memory of the whole process and its growth since before."""
    data = Invented(options.questions, options.per_context, options.words)
    tokenizer = tokenizer_of(options, data)
    before, _ = memory()
    peak = Peak()
    peak.start()
    begin = time.perf_counter()
    encoded = SpanReader().encode(data, tokenizer, (), max_length=options.max_length)
    encoding = time.perf_counter() - begin
    features, begin = encoded.features, time.perf_counter()
    total = sum(int(features[int(i)].input_ids.sum()) for i in np.random.default_rng(0).permutation(len(features)))
    reading = time.perf_counter() - begin
    peak.over.set()
    peak.sample()
    assert total > 0
    return {
        "windows": len(features),
        "windows_mb": round(features.size_bytes / MEGABYTE, 1),
        "anonymous_mb": round(peak.anonymous, 1),
        "anonymous_growth_mb": round(peak.anonymous - before, 1),
        "file_backed_mb": round(peak.backed, 1),
        "encode_seconds": round(encoding, 1),
        "read_seconds": round(reading, 1),
    }


def main() -> None:
    """Measures and prints one JSON line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--questions", type=int, default=100_000)
    parser.add_argument("--per-context", type=int, default=5)
    parser.add_argument("--words", type=int, default=120, help="of each context")
    parser.add_argument("--max-length", type=int, default=192)
    parser.add_argument("--tokenizer", help="a model folder; none = one learnt from the invented words")
    options = parser.parse_args()
    names = ("questions", "per_context", "words", "max_length")
    facts = {"benchmark": "qa_memory", **{name: getattr(options, name) for name in names}}
    conditions = {"python": platform.python_version(), "numpy": np.__version__, "machine": platform.machine()}
    print(json.dumps(facts | measure(options) | conditions))


if __name__ == "__main__":
    main()
