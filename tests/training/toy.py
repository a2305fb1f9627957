"""A toy classifier and a toy tagger, trained in a second; as a command, what the tests kill, resume and run twice.

    python toy.py JSON    with keys task, out, state, options, and optionally dropout, terms, count

Terms over inner states look inside a wider model of two layers with random weights.

Tokens are random ids. A text's class is whether its first token is even; a word's class is its first token's
remainder by 3, and a word has one to three tokens.
"""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file

from destila.losses.weighted import mix
from destila.models.config import EncoderConfig
from destila.models.encoder import STATES
from destila.models.heads import Model, build
from destila.tasks import classify, tag
from destila.training.batches import Teach
from destila.training.loop import Evaluation, TrainData, fit
from destila.training.options import TrainOptions
from destila.training.predict import window_logits
from destila.training.processes import processes
from destila.types import Batch, Features, Inner, Setting, Shape

TASKS = {"classify": classify.TASK, "tag": tag.TASK}
LABELS = {"classify": ("no", "si"), "tag": ("a", "b", "c")}
VOCAB, PAD, CLS, SEP = 30, 0, 1, 2


def features(task: str, count: int, *, seed: int = 0) -> list[Features]:
    """Windows of 3 to 14 tokens, one per example."""
    random = np.random.default_rng(seed)
    made = []
    for row in range(count):
        body = random.integers(3, VOCAB, random.integers(1, 13)).astype(np.int32)
        ids = np.array([CLS, *body, SEP], np.int32)
        unit = np.full(len(ids), -1, np.int32)
        if task == "classify":
            unit[0] = 0
            target = [body[0] % 2]
        else:
            starts = np.append(0, np.flatnonzero(random.random(len(body) - 1) < 0.6) + 1)
            unit[1:-1] = np.searchsorted(starts, np.arange(len(body)), "right") - 1
            target = body[starts] % 3
        owned = np.ones(len(target), bool)
        spans = np.zeros((len(ids), 2), np.int32)
        made.append(Features(row, 0, ids, np.zeros_like(ids), spans, unit, 0, owned, np.array(target, np.int32)))
    return made


def model(task: str, *, dropout: float = 0.1, seed: int = 0, hidden: int = 16, layers: int = 1) -> Model:
    """A BERT of one layer and 16 dimensions, unless asked for more."""
    config = EncoderConfig(
        kind="bert", vocab_size=VOCAB, positions=32, types=2, embedding=hidden, hidden=hidden, layers=layers, heads=2, ffn=32,
        activation="gelu", dropout=dropout, attention_dropout=dropout, classifier_dropout=dropout, eps=1e-12,
        init_range=0.1, pad_id=PAD,
    )  # fmt: skip
    return build(config, task, LABELS[task], seed)


def teacher(task: str, made: list[Features]) -> Teach:
    """Logits [U, C] of each window: the gold class with some noise."""
    random = np.random.default_rng(1)
    classes = len(LABELS[task])
    rows = [3 * np.eye(classes)[f.target] + random.normal(0, 0.5, (len(f.target), classes)) for f in made]
    return lambda f: TASKS[task].teach(rows[f.row], f)


def shape(net: Model) -> Shape:
    """What a loss term may know of a toy."""
    return Shape("toy", "ids", net.config.layers, net.config.hidden, net.config.heads, STATES)


class Inside:
    """The least Insight: a teacher that reads the student's batch."""

    def __init__(self, net: Model, wanted) -> None:
        self.net, self.wanted = net.eval(), wanted

    def align(self, batch: Batch) -> Batch:
        every = {"token": batch.mask, "padded": torch.ones_like(batch.mask)}
        return replace(batch, inner=Inner({pool: every[pool] for pool in self.wanted}))

    def ask(self, batch: Batch) -> Batch:
        with torch.no_grad():
            found = self.net(batch, states=[s for each in self.wanted.values() for s in each])
        values = {("logits", 0): found.logits, **found.states}
        states = {pool: {s: values[s] for s in each} for pool, each in self.wanted.items()}
        return replace(batch, inner=replace(batch.inner, states=states))


def evaluator(net: Model, task: str, dev: list[Features]):
    """A function that gives accuracy and gold loss on dev."""

    def evaluate() -> Evaluation:
        rows = TASKS[task].gather(dev, window_logits(net, dev, pad_id=PAD))
        flat, gold = np.concatenate(rows), np.concatenate([f.target for f in dev])
        log = flat - np.log(np.exp(flat).sum(-1, keepdims=True))
        said = flat.argmax(-1)
        accuracy = float((said == gold).mean())
        loss = -float(log[np.arange(len(gold)), gold].mean())
        return Evaluation(accuracy, loss, {"accuracy": accuracy}, task == "classify" and len(set(said)) == 1)

    return evaluate


def steps(net: Model, task: str, made: list[Features], options: TrainOptions, *, terms=({"use": "hard"},), **kwargs):
    """The loop over toy data; a term that needs a teacher gets `teacher`."""
    large = model(task, dropout=0.0, seed=7, hidden=24, layers=2)
    loss = mix(terms, setting=Setting(student=shape(net), teacher=shape(large)))
    inside = Inside(large, loss.teacher_states) if loss.needs_states else None
    data = TrainData(made, PAD, teacher(task, made) if loss.needs_signal else None, inside, kwargs.pop("length", 0))
    evaluate = kwargs.pop("evaluate", None) or evaluator(net, task, features(task, 20, seed=9))
    return fit(net, TASKS[task], loss, data, evaluate, options, **{"seed": 0, **kwargs})


def main(given: dict) -> None:
    """Train, print every step, and save the final and the best weights to `out` (main process only)."""
    torch.set_num_threads(1)
    task = given["task"]
    made = features(task, given.get("count", 60))
    net = model(task, dropout=given.get("dropout", 0.1))
    terms = given.get("terms", [{"use": "hard"}])
    saved = Path(given["state"]) if given.get("state") else None
    out = Path(given["out"])
    log = []
    for step in steps(net, task, made, TrainOptions(**given["options"]), terms=terms, state=saved, key="toy"):
        if step.best:
            save_file(dict(net.state_dict()), f"{out}.best")
        log.append({"step": step.step, "loss": step.loss, "tokens": step.tokens, **step.parts})
        sys.stdout.write(f"{step.step}\n")
        sys.stdout.flush()
        sys.stdin.readline()  # whoever kills this process says when it may go on
    state = processes()
    if state.is_main_process:
        out.with_suffix(".json").write_text(json.dumps(log))
        save_file(dict(net.state_dict()), out)
    if state.num_processes > 1:
        state.destroy_process_group()


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
