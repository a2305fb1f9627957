"""What a distillation epoch with a cached teacher costs, against a fine-tuning epoch of the same student.

An ALBETO-tiny-shaped tagger on CoNLL-2002, random weights. The cache is filled with random logits first (reading them
costs what reading real ones does). Both epochs run in turn A B A B; the result is the median of the paired ratios.

    python benchmarks/distil_cost.py [--rounds 5] [--sentences 1024] [--threads 2]
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import median

import numpy as np
import torch

from destila import plugins
from destila.distil.cache import Cache
from destila.losses.mix import Mix, mix
from destila.measure import machine
from destila.models import heads
from destila.models.presets import PRESETS
from destila.tasks.tag import TASK
from destila.text import tokenizer as tokenizers
from destila.threads import available as threads_available
from destila.train.loop import Evaluation, TrainData, fit
from destila.train.options import TrainOptions
from destila.types import Example


def epoch(loss: Mix, data: TrainData, labels: Sequence[str]) -> float:
    """Seconds of one epoch."""
    model = heads.build(PRESETS["albeto-tiny"], "tag", labels, seed=0)
    steps = fit(model, TASK, loss, data, lambda: Evaluation(0, 0, {}), TrainOptions(epochs=1, lr=5e-5), seed=0)
    start = time.perf_counter()
    for _ in steps:
        pass
    return time.perf_counter() - start


def main() -> None:
    """Run both epochs in turn and print one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--sentences", type=int, default=1024)
    parser.add_argument("--threads", type=int, default=threads_available())
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    module = plugins.find("datasets", "conll2002", "load")
    dataset = module.load(module.Options())
    examples = dataset.splits["train"][: arguments.sentences]
    tokenizer = tokenizers.load(Path(os.environ["DESTILA_MODELS"]) / "mini-es")
    features = TASK.encode(examples, tokenizer, dataset.labels, max_length=128).features
    random = np.random.default_rng(0)

    def logits(part: Sequence[Example]) -> list[np.ndarray]:
        return [random.normal(size=(len(e.words), len(dataset.labels))).astype(np.float32) for e in part]

    with tempfile.TemporaryDirectory() as folder:
        cache = Cache.open(Path(folder) / "cache", {"source": "random"}, len(dataset.labels))
        cache.fill(examples, logits)
        plain, taught = mix([{"use": "hard"}]), mix([{"use": "kl", "temperature": 2.0}])
        data = TrainData(features, tokenizer.pad_id)
        distilled = TrainData(features, tokenizer.pad_id, cache.rows(examples))
        short = TrainData(features[:128], tokenizer.pad_id)
        epoch(plain, short, dataset.labels)  # warm-up
        times = [
            (epoch(plain, data, dataset.labels), epoch(taught, distilled, dataset.labels))
            for _ in range(arguments.rounds)
        ]
    result = {
        "distilled_over_finetuned": round(median(b / a for a, b in times), 3),
        "seconds": {"finetuned": [round(a, 2) for a, _ in times], "distilled": [round(b, 2) for _, b in times]},
        "windows": len(features),
        "threads": arguments.threads,
        "cpu": machine.cpu(),
        "versions": machine.versions(),
    }
    print(json.dumps(result))


if __name__ == "__main__":
    main()
