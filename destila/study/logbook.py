"""What is known of a training job while it runs: dev evaluations, and the lines of its log.jsonl."""

from __future__ import annotations

import json
import logging
import time
from pathlib import Path
from typing import Any

import torch

from destila.files import read_log, write_text
from destila.study.data import Study
from destila.tokenizer.tokenizer import Tokenizer
from destila.training.loop import Evaluation, Step
from destila.training.optim import autocast_precision
from destila.training.options import TrainOptions
from destila.training.predict import window_logits

log = logging.getLogger(__name__)

_LOG_EVERY = 10
"""Steps between lines of log.jsonl; evaluations are always logged."""


class Evaluator:
    """Dev scores and gold-label dev loss of a model while it trains, in the precision it trains in.

    judged: whether the loss teaches answers; a head that learns nothing may well give one answer to everything.
    """

    def __init__(
        self,
        study: Study,
        model: torch.nn.Module,
        tokenizer: Tokenizer,
        options: TrainOptions,
        *,
        judged: bool,
    ) -> None:
        self.study, self.model, self.tokenizer = study, model, tokenizer
        self.examples = study.dataset.splits["dev"]
        self.features = study.encode("dev", tokenizer).features
        self.options, self.judged = options, judged

    def __call__(self) -> Evaluation:
        """The scores of the weights as they are now."""
        device = next(self.model.parameters()).device
        autocast = (
            torch.bfloat16 if autocast_precision(self.options.precision, device) == "bf16" else None
        )
        task, labels = self.study.task, self.study.labels
        values = window_logits(
            self.model, self.features, pad_id=self.tokenizer.pad_id, autocast=autocast
        )
        rows = task.gather(self.features, values)
        predictions = task.decode(self.examples, rows, labels)
        scores = task.score(self.examples, predictions, labels)
        uniform = (
            task.axis == 2
            and len(labels) > 1
            and len({label for p in predictions for label in p.labels}) == 1
        )
        constant = uniform and task.name == "classify" and self.judged
        loss = task.loss(self.examples, rows, labels)
        return Evaluation(scores[self.study.main], loss, scores, constant, uniform)


class Logbook:
    """log.jsonl of a run: lines of steps that are run again after a kill are dropped first."""

    def __init__(self, folder: Path, name: str) -> None:
        self.path, self.name = folder / "log.jsonl", name
        self.lines = read_log(self.path)
        self.before = self.lines[-1]["seconds"] if self.lines else 0.0
        self.started = time.monotonic()
        self.tokens = 0
        self.fresh = True

    @property
    def seconds(self) -> float:
        """Seconds of work, kills included."""
        return float(self.before + time.monotonic() - self.started)

    def best(self) -> Evaluation | None:
        """The evaluation of the checkpoint that `best/` holds, from before a kill."""
        found = [line for line in self.lines if line.get("best")]
        if not found:
            return None
        kept = found[-1]
        return Evaluation(
            kept["main"], kept["dev_loss"], kept["dev"], uniform=kept.get("uniform", False)
        )

    def write(self, step: Step) -> None:
        """Append a step."""
        if self.fresh:
            self.lines = [line for line in self.lines if line["step"] < step.step]
            write_text(self.path, "".join(json.dumps(line) + "\n" for line in self.lines))
            self.fresh = False
        self.tokens += step.tokens
        if step.evaluation is None and step.step % _LOG_EVERY:
            return
        line: dict[str, Any] = {
            "step": step.step,
            "epoch": step.epoch,
            "loss": step.loss,
            **step.parts,
            "lr": step.lr,
            "seconds": self.seconds,
        }
        if step.evaluation:
            line |= {
                "main": step.evaluation.main,
                "dev": dict(step.evaluation.scores),
                "dev_loss": step.evaluation.loss,
                "best": step.best,
                **({"uniform": True} if step.evaluation.uniform else {}),
            }
            log.info(
                "%s step %d/%d loss %.4f dev %.4f",
                self.name,
                step.step,
                step.steps,
                step.loss,
                step.evaluation.main,
            )
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")
