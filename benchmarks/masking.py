"""What masking and packing do to real text, against what they should: shares, whole words, spans, labels, speed.

Words are told apart by the text (runs of letters and digits), not by the pieces whose rule is on
trial: every run that lies in one half of a pair must be chosen whole or not at all. Speed is in
seconds of one core's processor time.

    python benchmarks/masking.py [--tokens 10000000] [--length 128] [--rate 0.15] [--cap 20]
    [--words whole]
"""

from __future__ import annotations

import argparse
import json
import os
import re
import time
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np

from destila.files import open_text
from destila.measuring import machine
from destila.pretraining.data.masking import Corruption, Masking, corrupt
from destila.pretraining.data.packing import FrameIds, PackedRows, Packing, flatten, pack
from destila.tokenizer import tokenizer as tokenizers
from destila.tokenizer.tokenizer import Tokenizer
from destila.tokenizer.word_marks import WordMarks, read_word_marks

RUN = re.compile(r"[^\W_]+")
SENTENCE = re.compile(r"(?<=[.!?…])\s+(?=[¿¡«—]?[A-ZÁÉÍÓÚÑ])")
DOCUMENT = 50
"""Lines that count as one document."""

Sentences = list[np.ndarray]


@dataclass
class Tally:
    """Counts over all batches."""

    tokens: int = 0
    chosen: int = 0
    masked: int = 0
    kept: int = 0
    runs: int = 0
    suffixes: int = 0
    broken: int = 0


def documents(tokenizer: Tokenizer, tokens: int) -> Iterator[tuple[Sentences, Sentences]]:
    """Documents from every source in turn until there are `tokens`: ids, and the run of letters of every token."""
    files = sorted((Path(os.environ["DESTILA_DATA"]) / "corpus_es").glob("*.txt.zst"))
    sources = [(line for line in open_text(file) if line.strip()) for file in files]
    number = 0
    while sources and tokens > 0:
        for source in list(sources):
            lines = list(islice(source, DOCUMENT))
            if not lines:
                sources.remove(source)
                continue
            texts = [sentence for line in lines for sentence in SENTENCE.split(line.strip())]
            ids, runs = [], []
            for text, pieces in zip(texts, tokenizer.text(texts), strict=True):
                of = np.full(len(text) + 1, -1)
                for match in RUN.finditer(text):
                    of[slice(*match.span())] = number
                    number += 1
                ids.append(pieces.ids)
                runs.append(of[pieces.spans[:, 0]])
                tokens -= len(pieces.ids)
            yield ids, runs


def count(
    tally: Tally,
    rows: PackedRows,
    runs: np.ndarray,
    found: Corruption,
    known: WordMarks,
    accented: np.ndarray,
) -> None:
    """Adds one batch."""
    chosen, was, now = found.chosen, rows.input_ids[found.chosen], found.input_ids[found.chosen]
    tally.tokens += int((~known.special[rows.input_ids] & (rows.input_ids != known.unk_id)).sum())
    tally.chosen += int(chosen.sum())
    tally.masked += int((now == known.mask_id).sum())
    tally.kept += int((now == was).sum())
    edge = np.ones(runs.shape, bool)
    edge[:, 1:] = (runs[:, 1:] != runs[:, :-1]) | (rows.pair[:, 1:] != rows.pair[:, :-1])
    start = np.flatnonzero(edge)
    size = np.diff(start, append=runs.size)
    hit = np.add.reduceat(chosen.ravel().astype(np.int64), start)
    suffix = np.add.reduceat((accented[rows.input_ids] & ~edge).ravel().astype(np.int64), start) > 0
    word = runs.ravel()[start] >= 0
    unknown = np.add.reduceat((rows.input_ids == known.unk_id).ravel().astype(np.int64), start) > 0
    word &= ~unknown
    tally.runs += int((word & (hit > 0)).sum())
    tally.suffixes += int((word & (hit > 0) & suffix).sum())
    tally.broken += int((word & (hit > 0) & (hit < size)).sum())


def main() -> None:
    """Pack, mask and count; print one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tokens", type=int, default=10_000_000)
    parser.add_argument("--length", type=int, default=128)
    parser.add_argument("--rate", type=float, default=0.15)
    parser.add_argument("--cap", type=int)
    parser.add_argument("--words", choices=("whole", "published", "piece"), default="whole")
    parser.add_argument("--batch", type=int, default=64)
    arguments = parser.parse_args()
    tokenizer = tokenizers.load_tokenizer(Path(os.environ["DESTILA_MODELS"]) / "mini-es")
    options = Masking(rate=arguments.rate, cap=arguments.cap, words=arguments.words)
    known = read_word_marks(tokenizer, options.words)
    texts = list(documents(tokenizer, arguments.tokens))
    packing, frame = (
        Packing(length=arguments.length),
        FrameIds(tokenizer.cls_id, tokenizer.sep_id, tokenizer.pad_id),
    )
    text = flatten(ids for ids, _ in texts)
    start = time.process_time()
    rows = pack(text, frame, packing, key=(0, 0))
    seconds = {"pack": time.process_time() - start, "mask": 0.0}
    runs = pack(
        flatten(runs for _, runs in texts), FrameIds(-1, -1, -1), packing, key=(0, 0)
    )  # alike: only lengths decide
    accented = np.array(
        [not p.replace("▁", "").isascii() for p in tokenizer.pieces_of(range(tokenizer.vocab_size))]
    )
    tally, sampled, realised = (
        Tally(),
        np.zeros(options.ngram, np.int64),
        np.zeros(options.ngram, np.int64),
    )
    for at in range(0, len(rows.pair), arguments.batch):
        batch = rows[at : at + arguments.batch]
        start = time.process_time()
        found = corrupt(
            batch.input_ids, np.arange(at, at + len(batch.pair)), known, options, seed=0, epoch=0
        )
        seconds["mask"] += time.process_time() - start
        sampled, realised = sampled + found.sampled, realised + found.realised
        count(tally, batch, runs.input_ids[at : at + arguments.batch], found, known, accented)
    labels = rows.order[(rows.positions == 0) & (rows.pair > 0)]
    told = labels[labels >= 0]
    size = rows.pair.size
    result = {
        "options": {**options.model_dump(), "length": arguments.length, "batch": arguments.batch},
        "tokens": tally.tokens,
        "chosen_share": round(tally.chosen / tally.tokens, 5),
        "of_the_chosen": {
            "mask": round(tally.masked / tally.chosen, 4),
            "kept": round(tally.kept / tally.chosen, 4),
            "random": round((tally.chosen - tally.masked - tally.kept) / tally.chosen, 4),
        },
        "words": {
            "chosen": tally.runs,
            "with_accented_suffix": tally.suffixes,
            "broken": tally.broken,
        },
        "spans": {
            "sampled": [round(float(n), 4) for n in sampled / sampled.sum()],
            "realised": [round(float(n), 4) for n in realised / realised.sum()],
        },
        "order": {
            "pairs": len(labels),
            "without_label": len(labels) - len(told),
            "swapped": round(told.mean(), 4),
        },
        "rows": {
            "rows": len(rows.pair),
            "padding": round(float((rows.pair == 0).mean()), 6),
        },
        "tokens_per_second": {name: round(size / spent) for name, spent in seconds.items()},
        "cpu": machine.cpu(),
        "versions": machine.versions(),
    }
    print(json.dumps(result))


if __name__ == "__main__":
    main()
