"""Memory of the windows of a large question set: encodes them once, then reads every window in random order.

    python benchmarks/qa_memory.py [--questions 100000] [--max-length 256]

Questions and contexts are those of SQuAD-es; copies differ by a number at the end, so that no
context is tokenised for another. Prints one JSON line. Anonymous pages are memory the process
needs; file-backed pages belong to the mapped file of windows and the system can drop them. The bar:
under 1 GB of anonymous memory for 100,000 questions, torch, the examples and the process itself
included.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from itertools import islice
from pathlib import Path

import numpy as np
from cache_memory import memory

from destila import datasets
from destila.measuring import machine
from destila.tasks.span.task import TASK
from destila.tokenizer import tokenizer as tokenizers
from destila.training.batches import collate
from destila.types import Example

_BATCH = 16


def questions(count: int) -> list[Example]:
    """So many questions, each copy of a context with a number of its own and shared by its questions."""
    given = datasets.load({"use": "squad_es"}).splits["train"]
    found: list[Example] = []
    for copy in range(count // len(given) + 1):
        contexts = {e.pair: f"{e.pair} {copy}" for e in given}
        made = (
            Example(f"{copy}-{e.id}", e.text, contexts[e.pair], answers=e.answers) for e in given
        )
        found += islice(made, count - len(found))
    return found


def main() -> None:
    """Encode, read, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--questions", type=int, default=100_000)
    parser.add_argument("--max-length", type=int, default=256)
    arguments = parser.parse_args()
    tokenizer = tokenizers.load_tokenizer(Path(os.environ["DESTILA_MODELS"]) / "mini-es")
    examples = questions(arguments.questions)
    before = memory()[0]
    start = time.perf_counter()
    features = TASK.encode(
        examples, tokenizer, ("start", "end"), max_length=arguments.max_length
    ).features
    encoded = time.perf_counter() - start
    peak = after = memory()[0]
    order = np.random.default_rng(0).permutation(len(features))
    start = time.perf_counter()
    for first in range(0, len(order), _BATCH):
        collate([features[int(i)] for i in order[first : first + _BATCH]], tokenizer.pad_id)
        if first % (1000 * _BATCH) == 0:
            peak = max(peak, memory()[0])
    result = {
        "questions": len(examples),
        "windows": len(features),
        "anonymous_mb": {"examples_loaded": before, "encoded": after, "peak_of_an_epoch": peak},
        "file_backed_mb": memory()[1],
        "encode_seconds": encoded,
        "epoch_of_batches_seconds": time.perf_counter() - start,
        "cpu": machine.cpu(),
        "versions": machine.versions(),
    }
    print(json.dumps(result))


if __name__ == "__main__":
    main()
