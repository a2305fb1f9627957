"""What a distillation epoch with a cached teacher costs, against a fine-tuning epoch of the same student.

An ALBETO-tiny-shaped student with random weights: a tagger on CoNLL-2002, or question answering on
SQuAD-es. The cache is filled with random logits first (reading them costs what reading real ones
does). Both epochs run in turn A B A B; the result is the median of the paired ratios.

    python benchmarks/distil_cost.py [--task tag|span] [--rounds 5] [--examples 1024] [--threads 2]
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from statistics import median

import numpy as np
import torch

from destila import datasets
from destila.cpu import available as threads_available
from destila.losses.weighted import WeightedLoss, build_loss
from destila.measuring import machine
from destila.models import heads
from destila.models.presets import PRESETS
from destila.tasks import tag
from destila.tasks.span import task as span
from destila.teachers.cache import Cache
from destila.tokenizer import tokenizer as tokenizers
from destila.training.feed import TrainData
from destila.training.loop import Evaluation, fit
from destila.training.options import TrainOptions
from destila.types import Example, Features, Task

KINDS: dict[str, tuple[Task, str, int]] = {
    "tag": (tag.TASK, "conll2002", 128),
    "span": (span.TASK, "squad_es", 192),
}
"""Task, data set and window of each kind of student."""


def epoch(task: Task, loss: WeightedLoss, data: TrainData, labels: Sequence[str]) -> float:
    """Seconds of one epoch."""
    model = heads.build_model(PRESETS["albeto-tiny"], task.name, labels, seed=0)
    steps = fit(
        model,
        task,
        loss,
        data,
        lambda: Evaluation(0, 0, {}),
        TrainOptions(epochs=1, lr=5e-5),
        seed=0,
    )
    start = time.perf_counter()
    for _ in steps:
        pass
    return time.perf_counter() - start


def main() -> None:
    """Run both epochs in turn and print one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--task", choices=KINDS, default="tag")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--examples", type=int, default=1024)
    parser.add_argument("--threads", type=int, default=threads_available())
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    task, name, max_length = KINDS[arguments.task]
    dataset = datasets.load({"use": name})
    examples = dataset.splits["train"][: arguments.examples]
    tokenizer = tokenizers.load_tokenizer(Path(os.environ["DESTILA_MODELS"]) / "mini-es")
    features = task.encode(examples, tokenizer, dataset.labels, max_length=max_length).features
    cells = Counter(f.row for f in features for _ in f.owned)
    sizes = {
        e.id: cells[row] if task.name == "span" else len(e.words) for row, e in enumerate(examples)
    }
    random = np.random.default_rng(0)

    def logits(part: Sequence[Example]) -> list[np.ndarray]:
        return [
            random.normal(size=(sizes[e.id], len(dataset.labels))).astype(np.float32) for e in part
        ]

    with tempfile.TemporaryDirectory() as folder:
        cache = Cache.open(Path(folder) / "cache", {"source": "random"}, len(dataset.labels))
        cache.fill(examples, logits)
        plain, taught = (
            build_loss([{"use": "hard"}]),
            build_loss([{"use": "kl", "temperature": 2.0}]),
        )
        data = TrainData(features, tokenizer.pad_id)
        rows = cache.rows(examples)

        def teach(feature: Features) -> np.ndarray:
            return task.teacher_logits(rows[feature.row], feature)

        distilled = TrainData(features, tokenizer.pad_id, teach)
        short = TrainData(features[:128], tokenizer.pad_id)
        epoch(task, plain, short, dataset.labels)  # warm-up
        times = [
            (
                epoch(task, plain, data, dataset.labels),
                epoch(task, taught, distilled, dataset.labels),
            )
            for _ in range(arguments.rounds)
        ]
    result = {
        "task": task.name,
        "distilled_over_finetuned": round(median(b / a for a, b in times), 3),
        "seconds": {
            "finetuned": [round(a, 2) for a, _ in times],
            "distilled": [round(b, 2) for _, b in times],
        },
        "windows": len(features),
        "threads": arguments.threads,
        "cpu": machine.cpu(),
        "versions": machine.versions(),
    }
    print(json.dumps(result))


if __name__ == "__main__":
    main()
