"""Anonymous memory of a training by stage, and how much of it is kernels that oneDNN keeps for shapes of batches.

An encoder of our format is fine-tuned for some steps on SQuAD-es or CoNLL-2002, each time in a
fresh process: with as many kernels kept as training keeps by itself, and with 1,024, oneDNN's own
number. The weights must end as the same bits. After every stage and every ten steps: anonymous
megabytes, and what of the C heap is in use and what is free between (Linux with glibc 2.33 or
later). Tokens are counted per second of processor time, which other programs disturb less than the
clock.

    python benchmarks/train_memory.py [--task span|tag] [--steps 60] [--layers 6] [--kept 64 1024]
    [--threads 1]
"""

from __future__ import annotations

import argparse
import ctypes
import hashlib
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import torch

from destila import datasets
from destila.losses.weighted import build_loss
from destila.measuring import machine
from destila.measuring.memory import peak_bytes, resident
from destila.models import hf
from destila.tasks import tag
from destila.tasks.span import task as span
from destila.training import kept_memory
from destila.training.feed import TrainData
from destila.training.loop import Evaluation, fit
from destila.training.options import TrainOptions
from destila.training.predict import window_logits

KINDS = {"tag": (tag.TASK, "conll2002", 128), "span": (span.TASK, "squad_es", 256)}
"""Task, data set and window of each kind of training."""

MEGABYTE = 1e6


class Heap(ctypes.Structure):
    """glibc's `struct mallinfo2`."""

    _fields_ = tuple((f"_{i}", ctypes.c_size_t) for i in range(7)) + tuple(
        (name, ctypes.c_size_t) for name in ("in_use", "free", "top")
    )


def now(stage: str) -> dict[str, Any]:
    """Megabytes at this moment."""
    libc = ctypes.CDLL(None)
    libc.mallinfo2.restype = Heap
    heap, held = libc.mallinfo2(), resident()
    assert held is not None, "this benchmark reads /proc of Linux"
    sizes = {
        "anonymous_mb": held.anonymous,
        "heap_in_use_mb": heap.in_use,
        "heap_free_mb": heap.free,
    }
    return {"stage": stage} | {name: round(value / MEGABYTE) for name, value in sizes.items()}


def train(options: argparse.Namespace) -> dict[str, Any]:
    """One training in this process."""
    torch.set_num_threads(options.threads)
    task, name, max_length = KINDS[options.task]
    stages = [now("imported")]
    dataset = datasets.load({"use": name})
    stages.append(now("data set loaded"))
    source = Path(os.environ["DESTILA_MODELS"]) / "mini-es"
    loaded = hf.load(source, task=task.name, labels=dataset.labels, layers=options.layers, seed=0)
    stages.append(now("model loaded"))
    train_, dev = (
        task.encode(
            dataset.splits[split], loaded.tokenizer, dataset.labels, max_length=max_length
        ).features
        for split in ("train", "dev")
    )
    stages.append(now("encoded"))
    data, pad_id = TrainData(train_, loaded.tokenizer.pad_id), loaded.tokenizer.pad_id
    chosen = TrainOptions(epochs=1, lr=5e-4)
    tokens, began = 0, time.process_time()
    for step in fit(
        loaded.model,
        task,
        build_loss([{"use": "hard"}]),
        data,
        lambda: Evaluation(0, 0, {}),
        chosen,
        seed=0,
    ):
        tokens += step.tokens
        if step.step == 1 or step.step % 10 == 0:
            stages.append(now(f"step {step.step}"))
        if step.step == options.steps:
            break
    seconds = time.process_time() - began
    weights = hashlib.sha256(
        b"".join(p.detach().numpy().tobytes() for p in loaded.model.parameters())
    ).hexdigest()
    if options.evaluate:
        window_logits(loaded.model, dev, pad_id=pad_id, autocast=torch.bfloat16)
        stages.append(now("evaluated"))
    speed = round(tokens / seconds)
    peak = round((peak_bytes() or 0) / MEGABYTE)
    return {
        "stages": stages,
        "peak_resident_mb": peak,
        "tokens_per_cpu_second": speed,
        "weights": weights[:16],
    }


def main() -> None:
    """Train once per number of kernels, each in a fresh process, and print one JSON object."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--task", choices=KINDS, default="span")
    parser.add_argument("--steps", type=int, default=60)
    parser.add_argument("--layers", type=int, default=6)
    parser.add_argument(
        "--kept",
        type=int,
        nargs="+",
        default=[kept_memory.KERNELS_KEPT, 1024],
        help="numbers to compare",
    )
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--evaluate", action="store_true", help="predict the dev split at the end")
    parser.add_argument(
        "--here", action="store_true", help="train in this process, with the kernels that it keeps"
    )
    options = parser.parse_args()
    if options.here:
        print(json.dumps(train(options)))
        return
    found = {}
    for kept in options.kept:
        environment = os.environ | dict.fromkeys(kept_memory.KERNEL_VARIABLES, str(kept))
        child = subprocess.run(
            [sys.executable, *sys.argv, "--here"],
            env=environment,
            check=True,
            stdout=subprocess.PIPE,
        )
        found[str(kept)] = json.loads(child.stdout)
    same = len({run["weights"] for run in found.values()}) == 1
    facts = {
        "task": options.task,
        "steps": options.steps,
        "layers": options.layers,
        "threads": options.threads,
    }
    conditions = {
        "cpu": machine.cpu(),
        "instructions": machine.instructions(),
        "versions": machine.versions(),
    }
    print(json.dumps(facts | {"same_weights": same, "kernels_kept": found} | conditions))


if __name__ == "__main__":
    main()
