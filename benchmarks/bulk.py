"""Words per second of bulk labelling, on one thread and on several, in the same run.

The model is an exported int8 albeto-tiny of random weights (speed does not depend on them), the
texts are the test sentences of CoNLL-2002, given as words. Passes take turns (1, 2, 1, 2, ...), so
that a busy machine slows all alike; the ratio is the median over pairs of passes. The answers of
all passes must be equal to the last bit. Bar: two threads label at least 1.85 times as many words
per second as one.

    taskset -c 0,1 python benchmarks/bulk.py [--threads 2] [--passes 5] [--texts 1517]
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any

import onnx

from destila import plugins
from destila.exporting import int8
from destila.exporting import onnx as exporter
from destila.inference.labeller import Labeller
from destila.measuring import machine
from destila.models import hf, store
from destila.tokenizer import tokenizer as tokenizers

BAR = 1.85


def main() -> None:
    """Print one JSON object: words per second, the ratio, and the conditions."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--passes", type=int, default=5)
    parser.add_argument("--texts", type=int, default=1517)
    arguments = parser.parse_args()

    rows, labels = sentences(arguments.texts)
    words = sum(len(row["words"]) for row in rows)
    with tempfile.TemporaryDirectory() as folder:
        export_tiny(Path(folder), labels)
        seconds, equal = time_passes(Path(folder), rows, arguments.threads, arguments.passes)

    one, several = seconds[1], seconds[arguments.threads]
    ratio = median(a / b for a, b in zip(one, several, strict=True))
    result = {
        "model": "albeto-tiny, int8, random weights",
        "texts": len(rows),
        "words": words,
        "threads": arguments.threads,
        "words_per_second": {str(n): round(words / median(each)) for n, each in seconds.items()},
        "ratio": round(ratio, 3),
        "ratios": [round(a / b, 3) for a, b in zip(one, several, strict=True)],
        "bar": BAR,
        "answers_equal": equal,
        "load": os.getloadavg()[0],
        "processors": len(os.sched_getaffinity(0)),
        "cpu": machine.cpu(),
    }
    print(json.dumps(result))


def sentences(limit: int) -> tuple[list[dict[str, Any]], tuple[str, ...]]:
    """Return test sentences of CoNLL-2002 as rows of words, and its labels."""
    module = plugins.find("datasets", "conll2002", "load")
    dataset = module.load(module.Options())
    rows = [
        {"words": [example.text[start:end] for start, end in example.words]}
        for example in dataset.splits["test"][:limit]
    ]
    return rows, dataset.labels


def export_tiny(folder: Path, labels: tuple[str, ...]) -> None:
    """Write an int8 albeto-tiny of random weights as `destila export` would."""
    tokenizer = tokenizers.load_tokenizer(Path(os.environ["DESTILA_MODELS"]) / "mini-es")
    model = hf.load("albeto-tiny", tokenizer=tokenizer, task="tag", labels=labels, seed=0).model
    store.save_model(model.eval(), tokenizer, folder, extra={"max_length": 512})
    (folder / "model.safetensors").unlink()

    graph = int8.quantise(exporter.build_onnx(model, mask=False), kind="dynamic")
    onnx.save(graph, str(folder / "model.onnx"))
    graphs = [{"name": "int8-dynamic", "file": "model.onnx", "kind": "int8-dynamic"}]
    facts = {"default": "int8-dynamic", "candidates": graphs}
    (folder / "export.json").write_text(json.dumps(facts), encoding="utf-8")


def time_passes(
    folder: Path, rows: list[dict[str, Any]], threads: int, passes: int
) -> tuple[dict[int, list[float]], bool]:
    """Return the seconds of every pass by its threads, and whether all answers are equal."""
    labellers = {number: Labeller(folder, threads=number) for number in (1, threads)}
    seconds: dict[int, list[float]] = {number: [] for number in labellers}
    answers = []
    for labeller in labellers.values():  # caches and threads are warm afterwards
        answers.append(list(labeller.answers(rows)))

    for _ in range(passes):
        for number, labeller in labellers.items():
            start = time.perf_counter()
            answers.append(list(labeller.answers(rows)))
            seconds[number].append(time.perf_counter() - start)
    return seconds, all(each == answers[0] for each in answers)


if __name__ == "__main__":
    main()
