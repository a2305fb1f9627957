"""Tokens per second of what feeds pre-training, without any model: draws alone, and whole batches.

    draws      which segments a block of 131,072 tokens reads, of 20 million short documents and of
               1.5 million stretches of 2,000 tokens, at 10, 50 and 90 % of an epoch
    batches    drawn, read, packed and masked rows of a corpus of random short documents, for one
               process and for one of eight, whose share it makes: tokens of the global batch

Seconds are those of the processor, so that other work on the machine counts less. What is done once
an epoch (its permutation) is shown apart.

    python benchmarks/feed.py [--documents 20000000] [--blocks 30]
"""

from __future__ import annotations

import argparse
import json
import logging
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from destila.corpus.build_corpus import CorpusOptions, build_corpus
from destila.corpus.filters import Filters
from destila.corpus.shards import open_shards
from destila.pretraining.data.batch_stream import BatchStream, FeedOptions
from destila.pretraining.data.mixture import Mixture
from destila.tokenizer.tokenizer import load_tokenizer

BLOCK = 131_072
TOKENIZER = Path(__file__).parents[1] / "models" / "albeto-tiny"


def show(**line: Any) -> None:
    """Write a line of JSON."""
    sys.stdout.write(json.dumps(line) + "\n")
    sys.stdout.flush()


def draws(name: str, sizes: np.ndarray, blocks: int) -> None:
    """Time draws at three places of an epoch; each block is drawn as a reader does."""
    mixture = Mixture([sizes], None, seed=0)
    started = time.process_time()
    mixture.draw((0,), 1)
    epoch = time.process_time() - started
    for share in (0.1, 0.5, 0.9):
        places = (int(share * len(sizes)),)
        started = time.process_time()
        for _ in range(blocks):
            _, places = mixture.draw(places, BLOCK)
        rate = blocks * BLOCK / (time.process_time() - started)
        show(draws=name, at=share, mtokens_per_second=round(rate / 1e6, 2), epoch_s=round(epoch, 2))


def batches(blocks: int, processes: list[int]) -> None:
    """Time batches of 256 rows of 128 tokens, for one process of so many."""
    random = np.random.default_rng(0)
    words = ["".join(random.choice(list("aeioubcdlmnprst"), 5)) for _ in range(3000)]
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        text = "\n\n".join(
            " ".join(random.choice(words, int(random.integers(8, 40)))) + "." for _ in range(15_000)
        )
        (folder / "text.txt").write_text(text, encoding="utf-8")
        tokenizer = load_tokenizer(TOKENIZER)
        # Its words are none of any language.
        options = CorpusOptions(
            files=(str(folder / "text.txt"),),
            out=str(folder / "corpus"),
            tokenizer=str(TOKENIZER),
            filters=Filters(min_words=1, min_function_words=0.0),
        )
        build_corpus(options, lambda *_: None)
        corpus = open_shards(folder / "corpus", tokenizer)
        for among in processes:
            own = {"share": (0, among)} if among > 1 else {}
            stream = BatchStream([corpus], tokenizer, FeedOptions(), seed=0)
            cursor = stream.start()
            started, tokens = time.process_time(), 0
            for _ in range(4 * blocks):
                rows, cursor = stream.take(cursor, rows=256, length=128, **own)
                tokens += rows.tokens * among
            rate = tokens / (time.process_time() - started)
            show(batches="packed pairs", processes=among, mtokens_per_second=round(rate / 1e6, 2))


def main() -> None:
    """Run all of it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--documents", type=int, default=20_000_000)
    parser.add_argument("--blocks", type=int, default=30)
    parser.add_argument("--only", choices=("draws", "batches"))
    parser.add_argument("--processes", default="1,8")
    asked = parser.parse_args()
    logging.basicConfig(level=logging.WARNING)

    random = np.random.default_rng(0)
    if asked.only != "batches":
        draws(f"{asked.documents} short", random.integers(8, 52, asked.documents), asked.blocks)
        draws("1500000 stretches", random.integers(1500, 2500, 1_500_000), asked.blocks)
    if asked.only != "draws":
        batches(asked.blocks, [int(n) for n in asked.processes.split(",")])


if __name__ == "__main__":
    main()
