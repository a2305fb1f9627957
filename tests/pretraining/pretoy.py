"""A toy masked language model and its text, pre-trained in a second; as a command, what the tests kill and run twice.

    python pretoy.py JSON    with keys out, folder, options, and optionally dropout, shared, pause, die

A row repeats one random token, so hidden ones are told by the others; in half of the rows another one takes its place
in the middle, which is their order label.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file

from destila.losses.weighted import mix
from destila.models.config import EncoderConfig
from destila.models.mlm import MaskedModel, build
from destila.pretraining.loop import pretrain
from destila.pretraining.objective import TASK
from destila.pretraining.options import PretrainOptions
from destila.training.processes import processes
from destila.types import IGNORE, Batch

VOCAB, PAD, CLS, MASK = 20, 0, 1, 2
TERMS = ({"use": "hard"}, {"use": "order"})


@dataclass(frozen=True)
class Cursor:
    """Rows that were read."""

    row: int


class Source:
    """Rows of equal tokens; the targets of those in `poison` are random."""

    def __init__(self, poison: range = range(0)) -> None:
        self.poison = poison
        self.asked: list[int] = []

    def start(self) -> Cursor:
        return Cursor(0)

    def take(self, cursor: Cursor, *, rows: int, length: int, rate, pair, together) -> tuple[Batch, Cursor]:
        self.asked.append(cursor.row)
        return batch(range(cursor.row, cursor.row + rows), length, rate or 0.2, self.poison), Cursor(cursor.row + rows)


def batch(numbers: range, length: int, rate: float, poison: range = range(0)) -> Batch:
    """Rows by their numbers, each a function of its own."""
    made = [_row(number, length, rate, poisoned=number in poison) for number in numbers]
    ids, target, order = (torch.from_numpy(np.stack(each)) for each in zip(*made, strict=True))
    everything = torch.arange(length).expand_as(ids)
    mask = ids != PAD
    return Batch(
        (), ids, mask, torch.zeros_like(ids), everything, everything, target != IGNORE, target,
        positions=everything, pair=mask.long(), order=order,
    )  # fmt: skip


def _row(number: int, length: int, rate: float, *, poisoned: bool) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    random = np.random.default_rng([5, number])
    size = int(random.integers(length // 2, length))
    exchanged = int(random.integers(2))
    first, second = random.integers(0, VOCAB - 3, 2)
    body = np.full(size, first)
    if exchanged:
        body[size // 2 :] = second
    whole = np.full(length, PAD, np.int64)
    whole[: size + 1] = [CLS, *(3 + body)]
    chosen = np.flatnonzero(random.random(size) < rate) + 1
    target = np.full(length, IGNORE, np.int64)
    target[chosen] = whole[chosen] if not poisoned else random.integers(3, VOCAB, len(chosen))
    ids = whole.copy()
    ids[chosen] = MASK
    order = np.full(length, IGNORE, np.int64)
    order[0] = exchanged
    return ids, target, order


def model(*, dropout: float = 0.1, layers: int = 2, shared: bool = True, seed: int = 0) -> MaskedModel:
    """An ALBERT of 16 dimensions, or a BERT when its layers are not shared."""
    config = EncoderConfig(
        kind="albert" if shared else "bert", vocab_size=VOCAB, positions=32, types=2, embedding=12 if shared else 16,
        hidden=16, layers=layers, heads=2, ffn=32, activation="gelu", dropout=dropout, attention_dropout=dropout,
        classifier_dropout=dropout, eps=1e-12, init_range=0.1, pad_id=PAD,
    )  # fmt: skip
    return build(config, seed, order=True)


def steps(net: MaskedModel, folder: Path, options: PretrainOptions, *, source=None, **kwargs):
    """Pre-training over toy rows."""
    evaluate = kwargs.pop("evaluate", None) or (lambda step: {"mlm_loss": 1.0})
    terms = mix(kwargs.pop("terms", TERMS))
    arguments = {"seed": 0, "key": "toy", "folder": folder, **kwargs}
    return pretrain(net, TASK, terms, source or Source(), evaluate, options, **arguments)


def main(given: dict) -> None:
    """Train, print every step, and save the final weights to `out` (main process only).

    pause: wait for a line on stdin after each step. die: the last process kills itself after so many steps, the first
    time that torchrun starts it.
    """
    torch.set_num_threads(1)
    net = model(dropout=given.get("dropout", 0.1), shared=given.get("shared", True))
    out = Path(given["out"])
    log = []
    for step in steps(net, Path(given["folder"]), PretrainOptions(**given["options"])):
        log.append({"step": step.step, "loss": step.loss, "tokens": step.tokens, "event": step.event, **step.parts})
        sys.stdout.write(f"{step.step}\n")
        sys.stdout.flush()
        if given.get("pause"):
            sys.stdin.readline()
        first_time = os.environ.get("TORCHELASTIC_RESTART_COUNT", "0") == "0"
        if step.step == given.get("die") and first_time and os.environ.get("RANK") == "1":
            os.kill(os.getpid(), signal.SIGKILL)
    among = processes()
    whole = {name: getattr(p, "full_tensor", lambda p=p: p)().detach() for name, p in net.named_parameters()}
    if among.is_main_process:
        out.with_suffix(".json").write_text(json.dumps(log))
        save_file({name: value.contiguous() for name, value in whole.items()}, out)
    if among.num_processes > 1:
        among.destroy_process_group()


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
