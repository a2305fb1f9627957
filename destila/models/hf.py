"""Models from Hugging Face folders, from our own folders (the same layout), from presets and from inline shapes.

What does not fit is never silent: body weights that are missing stop the load, a head that is new, weights left
over and a conversion are in the report.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from destila import hub
from destila.errors import ModelError
from destila.model_folder import FolderInfo, read_folder
from destila.models import heads, hf_config, mlm, names, weights
from destila.models.architecture import EncoderConfig, from_shape
from destila.models.presets import PRESETS
from destila.tokenizer import tokenizer as tokenizers
from destila.tokenizer.tokenizer import Tokenizer

log = logging.getLogger(__name__)

ModelSource = str | Path | Mapping[str, Any] | EncoderConfig


@dataclass(frozen=True, slots=True)
class LoadReport:
    """What a load had to do beyond copying.

    missing: weights that were not in the folder and are new. extra: weights of the folder that were not used.
    new_head: the classifier is new. converted: the folder had only `pytorch_model.bin`. reason: why the head is
    new, "" when it is not.
    """

    missing: tuple[str, ...] = ()
    extra: tuple[str, ...] = ()
    new_head: bool = False
    converted: bool = False
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Loaded:
    """A model, the tokenizer it reads with, and what the load had to do."""

    model: heads.Model
    tokenizer: Tokenizer
    report: LoadReport = field(default_factory=LoadReport)

    @property
    def max_length(self) -> int:
        """Most tokens of one window that both the model's positions and its tokenizer allow."""
        positions = self.model.config.max_length
        return min(positions, self.tokenizer.max_length or positions)


def load(
    source: ModelSource,
    *,
    tokenizer: Tokenizer | None = None,
    task: str | None = None,
    labels: Sequence[str] | None = None,
    layers: int | Sequence[int] | None = None,
    head_required: bool = False,
    seed: int = 0,
) -> Loaded:
    """A model with the weights of a folder or hub name, or with new weights from a preset name or a shape.

    tokenizer: needed for a preset or shape, whose vocabulary it decides; None: the folder's own.
    task, labels: None: the folder's. The folder's head is kept when it has the same task and label names, its rows
    put in the given order; otherwise the head is new, or with head_required an error.
    layers: for a shared block the number of passes; for other kinds the layers to keep, or how many to keep, spread
    evenly from first to last (6 of 12: 0 2 4 7 9 11). None: all.
    seed: decides every new weight. Raises ModelError, and ConfigError for a shape that is inconsistent.
    """
    if isinstance(source, Mapping | EncoderConfig) or source in PRESETS:
        return _new(source, tokenizer, task, labels, layers, head_required, seed)
    info = read_folder(hub.resolve(source))
    tokenizer = tokenizer or tokenizers.load_tokenizer(info.path)
    config = _fitted(
        hf_config.read_hf_config(info.config, where=str(info.path)), tokenizer, str(info.path)
    )
    task = task or info.task
    wanted = tuple(labels) if labels is not None else info.labels
    if task is None or wanted is None:
        lacks = "task" if task is None else "labels"
        raise ModelError(
            f"{info.path} ({info.architecture or 'no architecture'}) names no {lacks}: say which"
        )
    reason = _mismatch(info, task, wanted)
    if reason and head_required:
        raise ModelError(f"{info.path}: its head cannot be used as it is: {reason}")
    picks = _picks(config, layers, str(info.path))
    model = heads.empty_model(config.with_values(layers=len(picks)), task, wanted)
    tensors, converted = weights.read_weights(info.path)
    order = None if reason else [(info.labels or wanted).index(label) for label in wanted]
    missing, extra = _fill(model, tensors, picks, order, where=str(info.path))
    if order is not None and missing:  # config.json promised a head that the weights do not have
        reason = f"the folder has no {', '.join(missing)}"
        if head_required:
            raise ModelError(f"{info.path}: {reason}")
    heads.initialise(model, missing, seed)
    report = LoadReport(
        tuple(missing), _unused(config, picks, extra), bool(reason), converted, reason
    )
    _say(report, str(info.path))
    return Loaded(model, tokenizer, report)


def load_masked(
    source: str | Path,
    *,
    tokenizer: Tokenizer | None = None,
    layers: int | Sequence[int] | None = None,
    head_required: bool = True,
    order: bool = False,
    seed: int = 0,
) -> tuple[mlm.MaskedModel, Tokenizer, LoadReport]:
    """A folder or hub name as a masked language model, its tokenizer and what the load had to do.

    tokenizer: None: the folder's own. layers: as in `load`. head_required: False gives a folder without a
    masked-language-model head new weights for it, by seed. order: with a sentence-order head, whose weights are new
    where the folder has none. Raises ModelError, also for an output table of its own.
    """
    info = read_folder(hub.resolve(source))
    where = str(info.path)
    tokenizer = tokenizer or tokenizers.load_tokenizer(info.path)
    config = _fitted(hf_config.read_hf_config(info.config, where=where), tokenizer, where)
    picks = _picks(config, layers, where)
    model = mlm.empty_masked_model(config.with_values(layers=len(picks)), order=order)
    tensors, converted = weights.read_weights(info.path)
    missing, extra = _fill(model, tensors, picks, None, where=where)
    reason = f"the folder has no {', '.join(missing)}" if missing else ""
    if head_required and any(name.startswith("head.") for name in missing):
        raise ModelError(
            f"{where} ({info.architecture or 'no architecture'}) has no masked-language-model head: "
            "give a model that was pre-trained with one (...ForMaskedLM)"
        )
    own = tensors.get(names.DECODER[config.kind])
    if own is not None and not torch.equal(own, model.encoder.embeddings.word.weight):
        raise ModelError(
            f"{where}: its output table is not tied to its token table, which is not supported"
        )
    heads.initialise(model, missing, seed)
    extra = [
        name for name in extra if ".decoder." not in name and name != names.DECODER[config.kind]
    ]
    report = LoadReport(
        tuple(missing), _unused(config, picks, extra), bool(missing), converted, reason
    )
    _say(report, where)
    return model, tokenizer, report


def _new(
    source: ModelSource,
    tokenizer: Tokenizer | None,
    task: str | None,
    labels: Sequence[str] | None,
    layers: int | Sequence[int] | None,
    head_required: bool,
    seed: int,
) -> Loaded:
    """A model with new weights; its vocabulary and padding id are the tokenizer's."""
    name = source if isinstance(source, str) else "the shape"
    if head_required:
        raise ModelError(
            f"{name} has no trained weights, and a trained head is needed here: give a model folder"
        )
    if tokenizer is None or task is None or not labels:
        lacks = "tokenizer" if tokenizer is None else "task" if task is None else "labels"
        raise ModelError(
            f"{name} is an architecture without weights: it needs a {lacks} from outside"
        )
    model = heads.build(config_for(source, tokenizer, layers), task, labels, seed)
    every = tuple(name for name, _ in model.named_parameters())
    return Loaded(
        model, tokenizer, LoadReport(missing=every, new_head=True, reason="all weights are new")
    )


def config_for(
    source: ModelSource, tokenizer: Tokenizer, layers: int | Sequence[int] | None = None
) -> EncoderConfig:
    """The config of a preset's name or a shape, with the vocabulary and special ids of a tokenizer; raises ModelError."""
    if isinstance(source, Mapping):
        config = from_shape(source, vocab_size=tokenizer.vocab_size, pad_id=tokenizer.pad_id)
    elif isinstance(source, EncoderConfig):
        config = source
    else:
        ids = {"pad_id": tokenizer.pad_id, "bos_id": tokenizer.cls_id, "eos_id": tokenizer.sep_id}
        config = PRESETS[str(source)].with_values(vocab_size=tokenizer.vocab_size, **ids)
    config = _fitted(config, tokenizer, source if isinstance(source, str) else "the shape")
    if layers is not None:
        config = config.with_values(layers=layers if isinstance(layers, int) else len(layers))
    return config


def _fitted(config: EncoderConfig, tokenizer: Tokenizer, where: str) -> EncoderConfig:
    """The config with the tokenizer's padding id; raises ModelError when the two cannot work together.

    Published configs disagree on the padding id (BETO's says 0 or 1), the tokenizer file knows. RoBERTa's is part
    of its positions and must be right.
    """
    if tokenizer.vocab_size > config.vocab_size:
        raise ModelError(
            f"{where}: the tokenizer has {tokenizer.vocab_size} pieces, the model rows for {config.vocab_size}; "
            "use the tokenizer the model was trained with"
        )
    if config.kind == "roberta" and tokenizer.pad_id != config.pad_id:
        raise ModelError(
            f"{where}: padding id {config.pad_id} in the model, {tokenizer.pad_id} in the tokenizer"
        )
    return config.with_values(pad_id=tokenizer.pad_id)


def _mismatch(info: FolderInfo, task: str, labels: tuple[str, ...]) -> str:
    """Why the folder's head does not answer for this task and these labels; "" when it does."""
    if info.task != task:
        return f"it is {info.architecture or 'an encoder'}, the task is '{task}'"
    theirs = info.labels or ()
    if set(theirs) == set(labels):
        return ""
    if not theirs:
        return "its config.json names no labels"
    if len(theirs) != len(labels):
        return f"it has {len(theirs)} labels, {len(labels)} are needed"
    unknown = [label for label in labels if label not in theirs]
    return f"its labels are {', '.join(theirs)}, without {', '.join(unknown)}"


def _picks(config: EncoderConfig, layers: int | Sequence[int] | None, where: str) -> list[int]:
    """The layer of the folder behind each layer of the model; for a shared block only their number counts."""
    total = config.layers
    if layers is None:
        return list(range(total))
    if isinstance(layers, int):
        if layers < 1 or (layers > total and not config.shared):
            raise ModelError(f"{where}: layers = {layers}, the model has {total}")
        if config.shared:
            return list(range(layers))
        return [round(i * (total - 1) / max(1, layers - 1)) for i in range(layers)]
    if config.shared:
        raise ModelError(
            f"{where}: all layers are one block, so give their number instead of {list(layers)}"
        )
    wrong = [i for i in layers if not 0 <= i < total]
    if wrong or not layers:
        raise ModelError(f"{where}: layers = {list(layers)}, the model has 0 to {total - 1}")
    return list(layers)


@torch.no_grad()
def _fill(
    model: heads.Model | mlm.MaskedModel,
    tensors: dict[str, Tensor],
    picks: list[int],
    order: list[int] | None,
    *,
    where: str,
) -> tuple[list[str], list[str]]:
    """Copies weights into a model; returns our names of head weights that were missing, and their unused names.

    picks: their layer behind each of ours. order: their row behind each row of our classifier; None: the classifier
    is not theirs. Raises ModelError for missing weights of the encoder and for shapes that differ.
    """
    config = model.config
    tensors = _prefixed(tensors, config.kind)
    table = names.weight_names(
        config, model.task, (name for name, _ in model.named_parameters()), picks
    )
    used, missing = set(), []
    for name, theirs in table.items():
        if order is None and name.startswith("head.classifier."):
            used.add(theirs)
            missing.append(name)
        elif theirs not in tensors:
            missing.append(name)
        else:
            used.add(theirs)
            found, ours = tensors[theirs], model.get_parameter(name)
            if found.shape != ours.shape:
                raise ModelError(
                    f"{where}: '{theirs}' is {tuple(found.shape)}, config.json says {tuple(ours.shape)}"
                )
            ours.copy_(found[order] if name.startswith("head.classifier.") else found)
    lost = [name for name in missing if not name.startswith(("head.", "order."))]
    if lost:
        shown = ", ".join(table[name] for name in lost[:5])
        raise ModelError(f"{where}: {len(lost)} weights of the encoder are missing: {shown}")
    extra = [name for name in tensors if name not in used and not name.endswith("position_ids")]
    return missing, sorted(extra)


def _unused(config: EncoderConfig, picks: list[int], extra: list[str]) -> tuple[str, ...]:
    """Their unused names without those of layers that were left out on purpose."""
    left_out = tuple(names.layer_prefix(config, i) for i in range(config.layers) if i not in picks)
    return tuple(name for name in extra if config.shared or not name.startswith(left_out))


def _prefixed(tensors: dict[str, Tensor], kind: str) -> dict[str, Tensor]:
    """Bodies saved without a head carry no `bert.`, `albert.`... in front; here they do."""
    if any(name.startswith(f"{kind}.") for name in tensors):
        return tensors
    parts = ("embeddings.", "encoder.", "transformer.", "pooler.")
    return {
        f"{kind}.{name}" if name.startswith(parts) else name: value
        for name, value in tensors.items()
    }


def _say(report: LoadReport, where: str) -> None:
    if report.new_head:
        log.info("%s: new head, because %s", where, report.reason)
    if report.missing:
        log.info("%s: new weights: %s", where, ", ".join(report.missing))
    if report.extra:
        log.info("%s: unused weights: %s", where, ", ".join(report.extra))
