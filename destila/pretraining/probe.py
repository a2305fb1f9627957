"""What an encoder knows before it is fine-tuned: a linear softmax over its frozen last states.

It is asked for parts of speech and for entities. Every word is read at its first sub-token. The
states of some thousand sentences are computed once, the softmax is fitted to all of them at once by
L-BFGS from zero (a convex problem, so there is one answer and no rate to choose), and the dev
sentences are scored as a fine-tuned tagger's would be. It takes seconds, so that a pre-training can
look every so often whether it is learning anything of use.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from destila import datasets
from destila.errors import ConfigError, DataError
from destila.models.encoder import Encoder
from destila.pretraining.probe_options import ProbeOptions
from destila.tasks import task_of
from destila.tokenizer.tokenizer import Tokenizer
from destila.training.batches import collate, to_device
from destila.training.precision import autocasting
from destila.training.predict import batches_by_length, window_logits
from destila.types import IGNORE, Batch, Dataset, Example, Features, Output, Task


@dataclass(frozen=True, slots=True)
class _ProbeSet:
    """A data set, encoded. score: the key of its main score."""

    score: str
    task: Task
    labels: tuple[str, ...]
    train: Sequence[Features]
    dev: Sequence[Features]
    examples: Sequence[Example]


@dataclass(frozen=True, slots=True)
class Probe:
    """Data encoded once, for any number of encoders with this tokenizer.

    notes: why a data set was left out.
    """

    sets: tuple[_ProbeSet, ...]
    notes: tuple[str, ...]
    options: ProbeOptions
    pad_id: int

    def scores(self, encoder: Encoder, *, autocast: torch.dtype | None = None) -> dict[str, float]:
        """Score an encoder, which stays as it is: pos_accuracy and entity_f1 on dev, ratios 0-1."""
        training = encoder.training
        encoder.eval()
        scores = {data.score: self._score(data, encoder, autocast) for data in self.sets}
        encoder.train(training)
        return scores

    def _score(self, data: _ProbeSet, encoder: Encoder, autocast: torch.dtype | None) -> float:
        """Fit the softmax on the train sentences and score it on the dev sentences."""
        states, gold = _word_states(encoder, data.train, self.pad_id, autocast)  # [N, H], [N]
        linear = fit_softmax(
            states,
            gold,
            len(data.labels),
            iterations=self.options.iterations,
            penalty=self.options.penalty,
        )

        # From here on it is scored like a fine-tuned tagger.
        tagger = _Tagger(encoder, linear).eval()
        values = window_logits(tagger, data.dev, pad_id=self.pad_id, autocast=autocast)
        rows = data.task.join_windows(data.dev, values)
        predictions = data.task.decode(data.examples, rows, data.labels)
        return data.task.score(data.examples, predictions, data.labels)[data.score]


def prepare_probe(options: ProbeOptions, tokenizer: Tokenizer, longest: int) -> Probe:
    """Encode the data of a probe; a data set whose files are not here is left out, with a note.

    Args:
        options: which data sets, and how much of them.
        tokenizer: of all encoders that will be probed.
        longest: positions that those encoders have at least.

    Raises:
        ConfigError: a name is unknown, or is not scored by pos_accuracy or entity_f1 respectively.
    """
    sets, notes = [], []
    for score, name in (("pos_accuracy", options.pos), ("entity_f1", options.ner)):
        if not name:
            continue
        try:
            dataset = datasets.load({"use": name})
        except DataError as error:
            notes.append(f"no probe of {score}: {error}")
            continue
        sets.append(_encode(dataset, score, options, tokenizer, longest))
    return Probe(tuple(sets), tuple(notes), options, tokenizer.pad_id)


def _encode(
    dataset: Dataset, score: str, options: ProbeOptions, tokenizer: Tokenizer, longest: int
) -> _ProbeSet:
    """Encode the train and dev sentences of a data set that has the score."""
    task = task_of(dataset.task)
    main = task.main_score(dataset.labels)
    if main != score:
        raise ConfigError(
            f"data set '{dataset.name}' is scored by {main}, the probe wants {score}: "
            "name another one"
        )

    length = min(options.length, longest, tokenizer.max_length or longest)
    features, examples = {}, {}
    for split, size in (("train", options.train), ("dev", options.dev)):
        if not dataset.splits.get(split):
            raise ConfigError(
                f"data set '{dataset.name}' has no examples in its {split} split: "
                "probe with another one"
            )
        examples[split] = _sample(dataset.splits[split], size)
        encoded = task.encode(examples[split], tokenizer, dataset.labels, max_length=length)
        features[split] = encoded.features
    return _ProbeSet(
        score, task, dataset.labels, features["train"], features["dev"], examples["dev"]
    )


def _sample(examples: Sequence[Example], size: int) -> list[Example]:
    """Choose the same examples every time, in their order."""
    chosen = np.random.default_rng(0).permutation(len(examples))[:size]
    return [examples[i] for i in sorted(chosen.tolist())]


@torch.no_grad()
def _word_states(
    encoder: Encoder, features: Sequence[Features], pad_id: int, autocast: torch.dtype | None
) -> tuple[Tensor, Tensor]:
    """Compute the last states at the first sub-token of every labelled word.

    Returns:
        The states, float32 [N, H], and the words' labels, i64 [N].
    """
    device = next(encoder.parameters()).device
    states, gold = [], []
    for chosen in batches_by_length(features):
        batch = to_device(collate([features[i] for i in chosen], pad_id), device)
        with autocasting(device, autocast):
            last = encoder(batch.input_ids, batch.mask, batch.type_ids).last.float()  # [B, L, H]

        labelled = batch.unit_mask & (batch.target != IGNORE)  # [B, U]
        row, unit = torch.nonzero(labelled, as_tuple=True)
        states.append(last[row, batch.first[row, unit]])
        gold.append(batch.target[labelled])
    return torch.cat(states), torch.cat(gold)


def fit_softmax(
    states: Tensor, gold: Tensor, classes: int, *, iterations: int, penalty: float
) -> nn.Linear:
    """Fit the linear softmax with the least cross-entropy, from zero; equal data, equal answer.

    Args:
        states: float32 [N, H]; they are standardised to fit, and the softmax is given back for raw
            ones.
        gold: i64 [N], classes.
        classes: how many there are, C.
        iterations: of L-BFGS at most.
        penalty: of half the squared weights, per example.
    """
    mean = states.mean(0)  # [H]
    std = states.std(0, correction=0).clamp_min(1e-6)
    scaled = (states - mean) / std  # [N, H]

    width, device = states.shape[1], states.device
    weight = torch.zeros(classes, width, device=device, requires_grad=True)
    bias = torch.zeros(classes, device=device, requires_grad=True)
    search = torch.optim.LBFGS([weight, bias], max_iter=iterations, line_search_fn="strong_wolfe")

    def loss() -> Tensor:
        search.zero_grad()
        fit = F.cross_entropy(F.linear(scaled, weight, bias), gold)
        value = fit + 0.5 * penalty * weight.square().sum()
        torch.autograd.backward(value)
        return value

    search.step(loss)  # type: ignore[no-untyped-call]

    # Undo the scaling: w (x - mean) / std + b = (w / std) x + (b - w / std mean).
    linear = nn.Linear(width, classes, device=device).requires_grad_(False)
    linear.weight.copy_(weight.detach() / std)
    linear.bias.copy_(bias.detach() - linear.weight @ mean)
    return linear


class _Tagger(nn.Module):
    """An encoder and a linear layer over its states; computes in float32 behind the encoder."""

    def __init__(self, encoder: Encoder, linear: nn.Linear) -> None:
        super().__init__()
        self.encoder, self.linear = encoder, linear

    def forward(self, batch: Batch) -> Output:
        """Compute logits [B, L, C]."""
        last = self.encoder(batch.input_ids, batch.mask, batch.type_ids).last
        return Output(F.linear(last.float(), self.linear.weight, self.linear.bias))
