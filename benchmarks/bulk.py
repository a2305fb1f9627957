"""Words per second of bulk labelling, on one thread and on several, in the same run.

The model is an exported int8 albeto-tiny of random weights (speed does not depend on them), the
texts are test sentences of CoNLL-2002, given as words. Passes take turns (1, 2, apart, 1, 2, ...),
so that a busy machine slows all alike; the ratio is the median over neighbouring
passes. The answers of all passes must be equal to the last bit. Bar: two threads label at least
1.85 times as many words per second as one.

"Apart" are as many programs that know nothing of each other, each of which labels its share on one
thread: what the machine itself gives at that moment, and more than which no sharing can reach.

    python benchmarks/bulk.py [--threads 2] [--passes 20] [--texts 1517]
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from statistics import median, quantiles
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
WARM_SECONDS = 8.0
"""Of passes that are not counted: caches fill, and processes start."""


def main() -> None:
    """Print one JSON object: words per second, the ratio, and the conditions."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--passes", type=int, default=20)
    parser.add_argument("--texts", type=int, default=1517)
    parser.add_argument("--share", nargs=2, help=argparse.SUPPRESS)  # of a program apart
    arguments = parser.parse_args()

    rows, labels = sentences(arguments.texts)
    if arguments.share:
        label_share(Path(arguments.share[0]), rows[int(arguments.share[1]) :: arguments.threads])
        return
    words = sum(len(row["words"]) for row in rows)
    with tempfile.TemporaryDirectory() as folder:
        export_tiny(Path(folder), labels)
        seconds, equal = time_passes(Path(folder), rows, arguments)

    one = seconds["1"]
    ratios = {
        name: [a / b for a, b in zip(one, each, strict=True)] for name, each in seconds.items()
    }
    several = ratios[str(arguments.threads)]
    result = {
        "model": "albeto-tiny, int8, random weights",
        "texts": len(rows),
        "words": words,
        "threads": arguments.threads,
        "words_per_second": {name: round(words / median(each)) for name, each in seconds.items()},
        "ratio": round(median(several), 3),
        "quartiles": [round(each, 3) for each in quantiles(several, n=4)],
        "ratio_apart": round(median(ratios["apart"]), 3),
        "quartiles_apart": [round(each, 3) for each in quantiles(ratios["apart"], n=4)],
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
    folder: Path, rows: list[dict[str, Any]], arguments: argparse.Namespace
) -> tuple[dict[str, list[float]], bool]:
    """Return the seconds of every pass by who made it, and whether all answers are equal."""
    threads = arguments.threads
    labellers = {str(number): Labeller(folder, threads=number) for number in (1, threads)}

    # Answers of a pass are looked at and let go: heaps of them would slow every later pass.
    first = list(labellers["1"].answers(rows))
    equal = []
    gc.freeze()  # `destila predict` has no torch either that a collector would walk through

    def label(name: str) -> list[Any]:
        return list(labellers[name].answers(rows))

    with Apart(folder, arguments) as apart:
        passes: dict[str, Callable[[], Any]] = {name: partial(label, name) for name in labellers}
        passes["apart"] = apart.label
        for make in passes.values():
            until = time.perf_counter() + WARM_SECONDS
            while time.perf_counter() < until:
                make()

        seconds: dict[str, list[float]] = {name: [] for name in passes}
        for _ in range(arguments.passes):
            for name, make in passes.items():
                start = time.perf_counter()
                answers = make()
                seconds[name].append(time.perf_counter() - start)
                equal.append(answers is None or answers == first)
    return seconds, all(equal)


class Apart:
    """Programs that label a share of the texts each, whenever they are told to.

    Args:
        folder: of the model.
        arguments: of this benchmark.
    """

    def __init__(self, folder: Path, arguments: argparse.Namespace) -> None:
        command = [sys.executable, __file__, "--texts", str(arguments.texts)]
        command += ["--threads", str(arguments.threads), "--share", str(folder)]
        self._programs = [
            subprocess.Popen(
                [*command, str(share)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
            )
            for share in range(arguments.threads)
        ]

    def __enter__(self) -> Apart:
        return self

    def __exit__(self, *error: object) -> None:
        for program in self._programs:
            program.communicate()  # the end of its input ends it

    def label(self) -> None:
        """Tell all to label their share, and wait for the last."""
        for program in self._programs:
            program.stdin.write("go\n")
            program.stdin.flush()
        for program in self._programs:
            program.stdout.readline()


def label_share(folder: Path, rows: list[dict[str, Any]]) -> None:
    """Label rows on one thread for each line that comes in."""
    labeller = Labeller(folder, threads=1)
    gc.freeze()
    for _ in sys.stdin:
        list(labeller.answers(rows))
        print("done", flush=True)


if __name__ == "__main__":
    main()
