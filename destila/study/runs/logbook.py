"""What is known of a training while it runs: dev evaluations, and the lines of its log.jsonl."""

from __future__ import annotations

import logging
import time
from pathlib import Path
from typing import Any

from torch import nn

from destila.study.planning.plans import TrainPlan
from destila.study.runs.thresholds import dev_thresholds
from destila.tokenizer.tokenizer import Tokenizer
from destila.training.loop import Evaluation, Step
from destila.training.precision import precision_for
from destila.training.predict import window_logits
from destila.training.run_log import RunLog

log = logging.getLogger(__name__)

_LOG_EVERY = 10
"""Steps between lines of log.jsonl; evaluations are always logged."""


class Evaluator:
    """Dev scores and dev loss of a model while it trains, in the precision it trains in."""

    def __init__(
        self, plan: TrainPlan, model: nn.Module, tokenizer: Tokenizer, *, answers: bool
    ) -> None:
        """Encode the dev split.

        Args:
            plan: whose study and precision count.
            model: the model that is trained.
            tokenizer: its own.
            answers: whether the loss teaches answers; a head that learns nothing may well give one
                answer to everything.
        """
        # Encoded once: every evaluation reads the same windows.
        self.study, self.options = plan.study, plan.options
        self.model, self.tokenizer, self.answers = model, tokenizer, answers
        self.examples = self.study.dataset.splits["dev"]
        self.windows = self.study.encodings.split("dev", tokenizer).features

    def __call__(self) -> Evaluation:
        """Return the scores of the weights as they are now."""
        task, labels = self.study.task, self.study.labels
        device = next(self.model.parameters()).device
        precision = precision_for(self.options.precision, device)

        # From the logits of windows to those of whole examples, and to labels.
        logits = window_logits(
            self.model,
            self.windows,
            pad_id=self.tokenizer.pad_id,
            autocast=precision.autocast,
            shared=True,
        )
        rows = task.join_windows(self.windows, logits)
        predictions = task.decode(self.examples, rows, labels)
        scores = task.score(self.examples, predictions, labels)

        # One label for everything: of a classifier that goes on, a collapse.
        predicted = {label for prediction in predictions for label in prediction.labels}
        thresholds = []
        if task.axis == 2 and task.whole_example:
            thresholds = dev_thresholds(self.examples, predictions)
        uniform = task.axis == 2 and len(labels) > 1 and len(predicted) == 1
        return Evaluation(
            main=scores[self.study.main],
            loss=task.loss(self.examples, rows, labels),
            scores=scores,
            constant=uniform and task.whole_example and self.answers,
            uniform=uniform,
            facts={"thresholds": thresholds} if thresholds else {},
        )


class Logbook:
    """The log.jsonl of a run; lines of steps that are run again after a kill are dropped first."""

    def __init__(self, folder: Path) -> None:
        """Read the lines that an earlier start left in the run's folder."""
        self.name = folder.name
        self.run_log = RunLog(folder / "log.jsonl", "step")

        # Seconds go on from the last line, so that a kill costs no more than the work it lost.
        self.before = self.run_log.lines[-1]["seconds"] if self.run_log.lines else 0.0
        self.started = time.monotonic()

    @property
    def seconds(self) -> float:
        """Seconds of work, kills included."""
        return float(self.before + time.monotonic() - self.started)

    def best(self) -> Evaluation | None:
        """Return the evaluation of what `best/` holds from before a kill; None for nothing."""
        best = [line for line in self.run_log.lines if line.get("best")]
        if not best:
            return None

        line = best[-1]
        return Evaluation(
            line["main"], line["dev_loss"], line["dev"], uniform=line.get("uniform", False)
        )

    def write(self, step: Step) -> None:
        """Append a step, if it is one that is logged."""
        # The first step of a resumed run drops old lines, whether or not it is logged itself.
        if step.evaluation is None and step.step % _LOG_EVERY:
            self.run_log.append(step.step, [])
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
            line |= self._evaluated(step, step.evaluation)
        self.run_log.append(step.step, [line])

    def _evaluated(self, step: Step, evaluation: Evaluation) -> dict[str, Any]:
        """Return what an evaluation adds to a line, and tell it to whoever watches."""
        log.info(
            "%s step %d/%d: loss %.3f, dev %.2f",
            self.name,
            step.step,
            step.steps,
            step.loss,
            100 * evaluation.main,
        )

        # The line says whether the weights were kept, which a resumed run reads.
        added = {
            "main": evaluation.main,
            "dev": dict(evaluation.scores),
            "dev_loss": evaluation.loss,
            "best": step.best,
        }
        return added | ({"uniform": True} if evaluation.uniform else {})
