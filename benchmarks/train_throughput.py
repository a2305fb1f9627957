"""Useful tokens per second of fine-tuning, paired with transformers' Trainer in one run.

An ALBETO-tiny-shaped encoder (random weights) is fine-tuned on CoNLL-2002 by our loop and by
Trainer in its fp32 default, in bf16, and in bf16 with grouping by length. Same windows, same token
ids, same batch size and dynamic padding; contestants run in turn A B C D A B C D and are compared
by the median of paired ratios. Only real (unpadded) tokens count. Evaluation and saving are off on
all sides.

    python benchmarks/train_throughput.py [--rounds 3] [--sentences 1536] [--threads 2]
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import torch
from accelerate.state import AcceleratorState
from transformers import (
    AlbertConfig,
    AlbertForTokenClassification,
    PrinterCallback,
    Trainer,
    TrainingArguments,
)

from destila import plugins
from destila.cpu import available as threads_available
from destila.losses.weighted import build_loss
from destila.measuring import machine
from destila.models import heads, hf_config
from destila.models.presets import PRESETS
from destila.tasks.tag import TASK
from destila.tokenizer import tokenizer as tokenizers
from destila.training.feed import TrainData
from destila.training.loop import Evaluation, fit
from destila.training.options import TrainOptions
from destila.types import Features

BATCH = 32
LR = 5e-5


def ours(features: list[Features], labels: tuple[str, ...], pad_id: int) -> float:
    """Seconds of one epoch with our loop, as shipped."""
    model = heads.build_model(PRESETS["albeto-tiny"], "tag", labels, seed=0)
    options = TrainOptions(epochs=1, batch_size=BATCH, lr=LR)
    steps = fit(
        model,
        TASK,
        build_loss([{"use": "hard"}]),
        TrainData(features, pad_id),
        lambda: Evaluation(0, 0, {}),
        options,
        seed=0,
    )
    start = time.perf_counter()
    for _ in steps:
        pass
    return time.perf_counter() - start


def theirs(features: list[Features], labels: tuple[str, ...], pad_id: int, **flags: Any) -> float:
    """Seconds of one epoch with transformers' Trainer."""
    shape = hf_config.hf_config_of(PRESETS["albeto-tiny"], "tag", labels)
    config = AlbertConfig.from_dict({**shape, "pad_token_id": pad_id})
    torch.manual_seed(0)
    model = AlbertForTokenClassification(config)
    rows = [{"input_ids": f.input_ids.tolist(), "labels": _labels(f)} for f in features]
    with tempfile.TemporaryDirectory() as folder:
        arguments = TrainingArguments(
            folder,
            num_train_epochs=1,
            per_device_train_batch_size=BATCH,
            learning_rate=LR,
            save_strategy="no",
            eval_strategy="no",
            logging_strategy="no",
            report_to=[],
            disable_tqdm=True,
            use_cpu=True,
            seed=0,
            **flags,
        )
        trainer = Trainer(
            model, arguments, train_dataset=rows, data_collator=lambda batch: _pad(batch, pad_id)
        )
        trainer.remove_callback(PrinterCallback)  # standard output is for the result
        start = time.perf_counter()
        trainer.train()
        return time.perf_counter() - start


def _labels(f: Features) -> list[int]:
    """First sub-token labels, the rest ignored."""
    seen: set[int] = set()
    out = []
    for unit in f.unit.tolist():
        out.append(int(f.target[unit]) if unit >= 0 and unit not in seen else -100)
        seen.add(unit)
    return out


def _pad(batch: list[dict[str, list[int]]], pad_id: int) -> dict[str, torch.Tensor]:
    """Dynamic padding, as DataCollatorForTokenClassification does it (which wants a transformers tokenizer)."""
    longest = max(len(row["input_ids"]) for row in batch)
    ids = torch.tensor(
        [row["input_ids"] + [pad_id] * (longest - len(row["input_ids"])) for row in batch]
    )
    mask = torch.tensor(
        [[1] * len(row["input_ids"]) + [0] * (longest - len(row["input_ids"])) for row in batch]
    )
    labels = torch.tensor(
        [row["labels"] + [-100] * (longest - len(row["labels"])) for row in batch]
    )
    return {"input_ids": ids, "attention_mask": mask, "labels": labels}


def main() -> None:
    """Run the contestants in turn and print one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--sentences", type=int, default=1536)
    parser.add_argument("--threads", type=int, default=threads_available())
    arguments = parser.parse_args()
    logging.disable(logging.WARNING)
    torch.set_num_threads(arguments.threads)
    module = plugins.find("datasets", "conll2002", "load")
    dataset = module.load(module.Options())
    tokenizer = tokenizers.load_tokenizer(Path(os.environ["DESTILA_MODELS"]) / "mini-es")
    examples = dataset.splits["train"][: arguments.sentences]
    features = list(TASK.encode(examples, tokenizer, dataset.labels, max_length=128).features)
    tokens = sum(len(f.input_ids) for f in features)
    data = (features, dataset.labels, tokenizer.pad_id)
    contestants: dict[str, Callable[[], float]] = {
        "destila": lambda: ours(*data),
        "trainer fp32": lambda: theirs(*data),
        "trainer bf16": lambda: theirs(*data, bf16=True),
        "trainer bf16 grouped": lambda: theirs(
            *data, bf16=True, train_sampling_strategy="group_by_length"
        ),
    }
    short = (features[: 4 * BATCH], dataset.labels, tokenizer.pad_id)
    ours(*short)  # warm-up: thread pools and kernels
    theirs(*short)
    speeds: dict[str, list[float]] = {name: [] for name in contestants}
    for _ in range(arguments.rounds):
        for name, run in contestants.items():
            AcceleratorState._reset_state()  # one process, several precisions: accelerate remembers the first
            speeds[name].append(tokens / run())
    ratios = {
        name: median(a / b for a, b in zip(speeds["destila"], speeds[name], strict=True))
        for name in contestants
    }
    result = {
        "tokens_per_second": {name: round(median(values)) for name, values in speeds.items()},
        "destila_over": {
            name: round(ratio, 2) for name, ratio in ratios.items() if name != "destila"
        },
        "rounds": arguments.rounds,
        "windows": len(features),
        "tokens": tokens,
        "batch": BATCH,
        "threads": arguments.threads,
        "cpu": machine.cpu(),
        "instructions": machine.instructions(),
        "versions": machine.versions(),
    }
    print(json.dumps(result))


if __name__ == "__main__":
    main()
