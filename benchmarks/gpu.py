"""Four short benchmarks of a GPU: fine-tuning, caching, pre-training, inference; a line of JSON each.

    fine-tuning    tokens per second of `fit`: a BERT-base tagger, 32 windows of up to 128 tokens
    caching        texts per second that the same model labels, of about 60 tokens
    pre-training   tokens per second of `pretrain` on packed rows, for ALBETO tiny and base, and the
                   share of the card's bf16 peak that its products come to
    inference      texts per second of BETO and ALBETO presets, one by one and 64 at once

Weights and texts are random. Products are counted by the formula of the shape: 6 MACs-worth of
floating-point operations a token and weight for forward and backward, with the products of
attention of a token's own text; looking up and softmax count nothing. Peaks are those of the
makers' sheets, dense, without sparsity.

    python benchmarks/gpu.py [--device cuda] [--only fine-tuning,inference] [--seconds 12]
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from destila.losses.weighted import build_loss
from destila.models.architecture import EncoderConfig
from destila.models.heads import build_model
from destila.models.mlm import build_masked_model
from destila.models.presets import PRESETS
from destila.pretraining.objective import OBJECTIVE
from destila.pretraining.pretrain_loop import pretrain
from destila.pretraining.pretrain_options import PretrainOptions
from destila.tasks.tag import TASK
from destila.training.devices import device_label, device_named, waiter
from destila.training.feed import TrainData
from destila.training.loop import Evaluation, fit
from destila.training.options import TrainOptions
from destila.training.precision import precision_for
from destila.training.predict import window_logits
from destila.types import IGNORE, Batch, Features

PEAKS = {
    "H100": 989e12,
    "H200": 989e12,
    "A100": 312e12,
    "L40S": 362e12,
    "L4": 121e12,
    "4090": 165e12,
}
"""Operations per second in bf16 by part of the card's name."""

LABELS = tuple("abcdefghi")
WARM = 3
"""Steps that are not timed."""


def windows(count: int, longest: int, vocabulary: int) -> list[Features]:
    """Windows of random tokens; every token between the specials is a word."""
    random = np.random.default_rng(0)
    made = []
    for row in range(count):
        length = int(random.integers(longest // 4, longest + 1))
        ids = random.integers(5, vocabulary, length).astype(np.int32)
        unit = np.arange(-1, length - 1, dtype=np.int32)
        unit[-1] = -1
        made.append(
            Features(
                row=row,
                window=0,
                input_ids=ids,
                type_ids=np.zeros_like(ids),
                spans=np.zeros((length, 2), np.int32),
                unit=unit,
                start=0,
                owned=np.ones(length - 2, bool),
                target=random.integers(0, len(LABELS), length - 2).astype(np.int32),
            )
        )
    return made


def timed(steps: Iterator[Any], tokens: Callable[[Any], int], seconds: float) -> dict[str, float]:
    """Run steps for so many seconds behind the first ones; return steps and tokens per second."""
    for _ in range(WARM):
        next(steps)
    started, done, read = time.perf_counter(), 0, 0
    for step in steps:
        done, read = done + 1, read + tokens(step)
        spent = time.perf_counter() - started
        if spent > seconds:
            break
    return {"steps_per_second": done / spent, "tokens_per_second": read / spent}


def fine_tuning(_: torch.device, seconds: float, *, small: bool) -> Iterator[dict[str, Any]]:
    """Fine-tune a tagger, on the device that a training takes."""
    name = "albeto-tiny" if small else "beto-cased"
    config = PRESETS[name]
    made = windows(200 if small else 4000, 128, config.vocab_size)
    options = TrainOptions(epochs=1000, batch_size=32, evaluations=1e-3)
    model = build_model(config, "tag", LABELS, 0)
    loss = build_loss([{"use": "hard"}])
    steps = fit(
        model, TASK, loss, TrainData(made, 0), lambda: Evaluation(0, 0, {}), options, seed=0
    )
    yield {"model": name, **timed(steps, lambda step: step.tokens, seconds)}


def caching(device: torch.device, seconds: float, *, small: bool) -> Iterator[dict[str, Any]]:
    """Label texts as a teacher does."""
    name = "albeto-tiny" if small else "beto-cased"
    config = PRESETS[name]
    made = windows(100 if small else 4000, 96, config.vocab_size)
    model = build_model(config, "tag", LABELS, 0).eval().to(device)
    autocast = precision_for("auto", device, exact=True).autocast
    window_logits(model, made[:64], pad_id=0, autocast=autocast)

    started, done = time.perf_counter(), 0
    while time.perf_counter() - started < seconds:
        window_logits(model, made, pad_id=0, autocast=autocast)
        done += len(made)
    yield {"model": name, "texts_per_second": done / (time.perf_counter() - started)}


class PackedRows:
    """The same packed rows again and again: what feeds them has a benchmark of its own (feed.py)."""

    def __init__(self, config: EncoderConfig, rows: int, length: int) -> None:
        random = np.random.default_rng(0)
        ids = torch.from_numpy(random.integers(5, config.vocab_size, (rows, length)))
        pair = 1 + torch.arange(length).expand(rows, length) // (length // 2)
        chosen = torch.from_numpy(random.random((rows, length)) < 0.15)
        order = torch.full_like(pair, IGNORE)
        order[:, :: length // 2] = 1
        every = torch.arange(length).expand(rows, length)
        self.batch = Batch(
            features=(),
            input_ids=ids,
            mask=torch.ones_like(chosen),
            type_ids=torch.zeros_like(ids),
            unit=every,
            first=every,
            unit_mask=chosen,
            target=torch.where(chosen, ids, IGNORE),
            positions=every % (length // 2),
            pair=pair,
            order=order,
        )

    def start(self) -> int:
        """Return the one cursor."""
        return 0

    def take(self, cursor: int, **_: Any) -> tuple[Batch, int]:
        """Return the batch."""
        return self.batch, cursor


def operations(model: nn.Module, config: EncoderConfig, *, text: int, asked: float) -> float:
    """Return floating-point operations of a token, forward and backward (three times forward).

    Args:
        model: whose block is counted; shared ones are run `config.layers` times.
        config: its shape.
        text: tokens that see each other.
        asked: share of tokens at which the model is asked for a piece.
    """
    encoder: Any = model.encoder
    block = sum(p.numel() for p in encoder.blocks[0].parameters() if p.dim() == 2)
    attention = 2 * config.hidden * text  # scores and context
    head = config.hidden * config.embedding + config.embedding * config.vocab_size
    project = config.embedding * config.hidden if encoder.project is not None else 0
    return 3 * 2 * (config.layers * (block + attention) + asked * head + project)


def pre_training(device: torch.device, seconds: float, *, small: bool) -> Iterator[dict[str, Any]]:
    """Pre-train on packed rows, in bf16 with LAMB."""
    length = 128 if small else 512
    peak = next((p for name, p in PEAKS.items() if name in device_label(device)), None)
    for name, rows, parts in (("albeto-tiny", 256, 1), ("albeto-base", 64, 1)):
        if small and name != "albeto-tiny":
            continue
        config = PRESETS[name]
        rows = 8 if small else rows
        source = PackedRows(config, rows, length)
        model = build_masked_model(config, 0, order=True)
        options = PretrainOptions(
            stages=({"steps": 100_000, "length": length, "rows": rows},),
            accumulation=parts,
            precision="bf16",
            evaluate_every=10**9,
            save_minutes=10**9,
        )
        with tempfile.TemporaryDirectory() as folder:
            steps = pretrain(
                model,
                OBJECTIVE,
                build_loss([{"use": "hard"}, {"use": "order"}]),
                source,
                lambda _: {},
                options,
                seed=0,
                folder=Path(folder),
            )
            speed = timed(steps, lambda _, tokens=rows * length: tokens, seconds)
            steps.close()
        each = operations(model, config, text=length // 2, asked=0.15)
        flops = each * speed["tokens_per_second"]
        share = {"share_of_bf16_peak": flops / peak} if peak else {}
        yield {
            "model": name,
            "rows": rows,
            "length": length,
            **speed,
            "tflops": flops / 1e12,
            **share,
        }


def inference(device: torch.device, seconds: float, *, small: bool) -> Iterator[dict[str, Any]]:
    """Answer windows of 128 random tokens, one by one and 64 at once, float32 as published and bf16."""
    names = (
        ("albeto-tiny",) if small else ("beto-cased", "distilbeto", "albeto-base", "albeto-tiny")
    )
    wait = waiter(device) or (lambda: None)
    for name in names:
        config = PRESETS[name]
        model = build_model(config, "classify", ("a", "b"), 0).eval().to(device)
        result: dict[str, Any] = {"model": name}
        for kind, batch, chosen in (
            ("one", 1, "fp32"),
            ("at_64", 64, "fp32"),
            ("at_64", 64, "bf16"),
        ):
            ids = torch.randint(5, config.vocab_size, (batch, 128), device=device)
            precision = precision_for(chosen, device)
            context = torch.autocast(
                device.type, torch.bfloat16, enabled=precision.autocast is not None
            )
            with torch.inference_mode(), context:
                for _ in range(WARM):
                    model.answer(ids, None, None)
                wait()
                started, done = time.perf_counter(), 0
                while time.perf_counter() - started < seconds / 12:
                    for _ in range(1 if small else 10):
                        model.answer(ids, None, None)
                        done += batch
                    wait()
                result[f"per_second_{kind}_{chosen}"] = done / (time.perf_counter() - started)
        yield result


BENCHMARKS = {
    "fine-tuning": fine_tuning,
    "caching": caching,
    "pre-training": pre_training,
    "inference": inference,
}


def main() -> None:
    """Run the benchmarks that are asked for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--only", default=",".join(BENCHMARKS))
    parser.add_argument("--seconds", type=float, default=12.0)
    asked = parser.parse_args()

    device = device_named(asked.device)
    small = device.type == "cpu"
    facts = {"device": device_label(device), "torch": torch.__version__}
    for name in asked.only.split(","):
        for result in BENCHMARKS[name](device, asked.seconds, small=small):
            shown = {k: round(v, 3) if isinstance(v, float) else v for k, v in result.items()}
            sys.stdout.write(json.dumps({"benchmark": name, **shown, **facts}) + "\n")
            sys.stdout.flush()


if __name__ == "__main__":
    main()
