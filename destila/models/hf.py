"""Models from Hugging Face folders, our own folders (the same layout), presets and inline shapes.

What does not fit is never silent: body weights that are missing stop the load; a head that is new,
weights left over and a conversion are in the report.
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
"""A folder or hub name, the name of a preset, an inline shape, or a config."""


@dataclass(frozen=True, slots=True)
class LoadReport:
    """What a load had to do beyond copying.

    missing: weights that were not in the folder and are new.
    extra: weights of the folder that were not used.
    new_head: the classifier is new.
    converted: the folder had only `pytorch_model.bin`.
    reason: why the head is new, "" when it is not.
    """

    missing: tuple[str, ...] = ()
    extra: tuple[str, ...] = ()
    new_head: bool = False
    converted: bool = False
    reason: str = ""

    def log_to(self, logger: logging.Logger, where: str) -> None:
        """Log in one line what is not as it was in the folder `where`."""
        notes = [f"new head, because {self.reason}"] if self.new_head else []
        for kind, listed in (("new", self.missing), ("unused", self.extra)):
            if listed:
                notes.append(f"{len(listed)} {kind} weights, the first {listed[0]}")
        if notes:
            logger.info("%s: %s", where, "; ".join(notes))


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
    """Load a model with the weights of a folder, or with new weights from a preset or a shape.

    The folder's head is kept when it has the same task and label names, its rows put in the given
    order; otherwise the head is new.

    Args:
        source: see `ModelSource`.
        tokenizer: needed for a preset or shape, whose vocabulary it decides; None: the folder's.
        task: None: the folder's.
        labels: None: the folder's.
        layers: for a shared block how often it runs; for other kinds the layers to keep, or how
            many of the first ones to keep. None: all.
        head_required: make a new head an error.
        seed: decides every new weight.

    Raises:
        ModelError: the folder, its weights or its labels do not fit.
        ConfigError: the shape is inconsistent.
    """
    if isinstance(source, Mapping | EncoderConfig) or source in PRESETS:
        return _new(source, tokenizer, task, labels, layers, head_required, seed)

    # what the folder is, and what is wanted of it
    info = read_folder(hub.resolve(source))
    where = str(info.path)
    tokenizer = tokenizer or tokenizers.load_tokenizer(info.path)
    config = _fitted(hf_config.read_hf_config(info.config, where=where), tokenizer, where)
    task = task or info.task
    wanted = tuple(labels) if labels is not None else info.labels
    if task is None or wanted is None:
        lacks = "task" if task is None else "labels"
        raise ModelError(
            f"{where} ({info.architecture or 'no architecture'}) names no {lacks}: say which"
        )
    reason = _mismatch(info, task, wanted)
    if reason and head_required:
        raise ModelError(f"{where}: its head cannot be used as it is: {reason}")

    # its weights, in our order of labels
    picks = _picks(config, layers, where)
    model = heads.outline_model(config.with_values(layers=len(picks)), task, wanted)
    tensors, converted = weights.read_weights(info.path)
    order = None if reason else [(info.labels or wanted).index(label) for label in wanted]
    missing, extra = _copy_weights(model, tensors, picks, order, where=where)
    if order is not None and missing:  # config.json promised a head that the weights do not have
        reason = f"the folder has no {', '.join(missing)}"
        if head_required:
            raise ModelError(f"{where}: {reason}")

    # new values for what is missing
    heads.initialise(model, missing, seed)
    report = LoadReport(
        missing=tuple(missing),
        extra=_unused(config, picks, extra),
        new_head=bool(reason),
        converted=converted,
        reason=reason,
    )
    report.log_to(log, where)
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
    """Load a masked language model, its tokenizer, and what the load had to do.

    Args:
        source: a folder or hub name.
        tokenizer: None: the folder's own.
        layers: as in `load`.
        head_required: False gives a folder without a masked-language-model head a new one.
        order: with a sentence-order head, whose weights are new where the folder has none.
        seed: decides every new weight.

    Raises:
        ModelError: the folder or its weights do not fit, or it has an output table of its own.
    """
    info = read_folder(hub.resolve(source))
    where = str(info.path)
    tokenizer = tokenizer or tokenizers.load_tokenizer(info.path)
    config = _fitted(hf_config.read_hf_config(info.config, where=where), tokenizer, where)

    picks = _picks(config, layers, where)
    model = mlm.outline_masked_model(config.with_values(layers=len(picks)), order=order)
    tensors, converted = weights.read_weights(info.path)
    missing, extra = _copy_weights(model, tensors, picks, None, where=where)
    if head_required and any(name.startswith("head.") for name in missing):
        raise ModelError(
            f"{where} ({info.architecture or 'no architecture'}) "
            "has no masked-language-model head: "
            "give a model that was pre-trained with one (...ForMaskedLM)"
        )

    # the output table is stored beside the token table, and must be the same
    decoder = names.DECODER[config.kind]
    table = tensors.get(decoder)
    if table is not None and not torch.equal(table, model.encoder.embeddings.word.weight):
        raise ModelError(
            f"{where}: its output table is not tied to its token table, which is not supported"
        )
    extra = [name for name in extra if ".decoder." not in name and name != decoder]

    heads.initialise(model, missing, seed)
    report = LoadReport(
        missing=tuple(missing),
        extra=_unused(config, picks, extra),
        new_head=bool(missing),
        converted=converted,
        reason=f"the folder has no {', '.join(missing)}" if missing else "",
    )
    report.log_to(log, where)
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
    """Return a model with new weights; its vocabulary and padding id are the tokenizer's."""
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

    model = heads.build_model(config_for(source, tokenizer, layers), task, labels, seed)
    every = tuple(name for name, _ in model.named_parameters())
    report = LoadReport(missing=every, new_head=True, reason="all weights are new")
    return Loaded(model, tokenizer, report)


def config_for(
    source: ModelSource, tokenizer: Tokenizer, layers: int | Sequence[int] | None = None
) -> EncoderConfig:
    """Return the config of a preset or a shape, with a tokenizer's vocabulary and special ids.

    Args:
        source: a preset's name, a shape or a config.
        tokenizer: what the model will read with.
        layers: how many, or a list of as many; None: as the source says.

    Raises:
        ModelError: config and tokenizer cannot work together.
    """
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
    """Return the config with the tokenizer's padding id.

    Published configs disagree on the padding id (BETO's says 0 or 1), the tokenizer file knows.
    RoBERTa's is part of its positions and must be right.

    Raises:
        ModelError: the two cannot work together.
    """
    if tokenizer.vocab_size > config.vocab_size:
        raise ModelError(
            f"{where}: the tokenizer has {tokenizer.vocab_size} pieces, "
            f"the model rows for {config.vocab_size}; "
            "use the tokenizer the model was trained with"
        )
    if config.kind == "roberta" and tokenizer.pad_id != config.pad_id:
        raise ModelError(
            f"{where}: padding id {config.pad_id} in the model, {tokenizer.pad_id} in the tokenizer"
        )
    return config.with_values(pad_id=tokenizer.pad_id)


def _mismatch(info: FolderInfo, task: str, labels: tuple[str, ...]) -> str:
    """Say why a folder's head does not answer for a task and labels; "" when it does."""
    if info.task != task:
        return f"it is {info.architecture or 'an encoder'}, the task is '{task}'"

    known = info.labels or ()
    if set(known) == set(labels):
        return ""
    if not known:
        return "its config.json names no labels"
    if len(known) != len(labels):
        return f"it has {len(known)} labels, {len(labels)} are needed"
    unknown = [label for label in labels if label not in known]
    return f"its labels are {', '.join(known)}, without {', '.join(unknown)}"


def _picks(config: EncoderConfig, layers: int | Sequence[int] | None, where: str) -> list[int]:
    """Return the folder's layer behind each layer of the model.

    For a shared block only their number counts.
    """
    total = config.layers
    if layers is None:
        return list(range(total))

    if isinstance(layers, int):
        if layers < 1 or (layers > total and not config.shared):
            raise ModelError(f"{where}: layers = {layers}, the model has {total}")
        # The first layers read, the last ones answer: of a fine-tuned encoder of twelve, three
        # evenly spaced layers were 5.3 points of entity F1 behind the first three.
        return list(range(layers))

    if config.shared:
        raise ModelError(
            f"{where}: all layers are one block, so give their number instead of {list(layers)}"
        )
    wrong = [i for i in layers if not 0 <= i < total]
    if wrong or not layers:
        raise ModelError(f"{where}: layers = {list(layers)}, the model has 0 to {total - 1}")
    return list(layers)


@torch.no_grad()
def _copy_weights(
    model: heads.Model | mlm.MaskedModel,
    tensors: dict[str, Tensor],
    picks: list[int],
    order: list[int] | None,
    *,
    where: str,
) -> tuple[list[str], list[str]]:
    """Copy a folder's weights into the outline of a model, and allocate its memory for them.

    Args:
        model: changed in place.
        tensors: the folder's weights by their names there.
        picks: the folder's layer behind each of ours.
        order: the folder's row behind each row of our classifier; None: its classifier is not used.
        where: the folder, for errors.

    Returns:
        Our names of head weights that the folder lacks, and the folder's names of unused ones.

    Raises:
        ModelError: weights of the encoder are missing, or shapes differ.
    """
    config = model.config
    tensors = _with_prefix(tensors, config.kind)
    parameters = [name for name, _ in model.named_parameters()]
    table = names.weight_names(config, model.task, parameters, picks)

    used, missing, rows = set(), [], {}
    for name, stored in table.items():
        is_classifier = name.startswith("head.classifier.")
        if order is None and is_classifier:
            used.add(stored)
        if stored not in tensors or (order is None and is_classifier):
            missing.append(name)
            continue

        used.add(stored)
        value, weight = tensors[stored], model.get_parameter(name)
        if value.shape != weight.shape:
            raise ModelError(
                f"{where}: '{stored}' is {tuple(value.shape)}, "
                f"config.json says {tuple(weight.shape)}"
            )
        rows[name] = value[order] if is_classifier else value

    # a head can be new, the encoder must be whole
    lost = [name for name in missing if not name.startswith(("head.", "order."))]
    if lost:
        shown = ", ".join(table[name] for name in lost[:5])
        raise ModelError(f"{where}: {len(lost)} weights of the encoder are missing: {shown}")

    heads.allocated(model)
    for name, value in rows.items():
        model.get_parameter(name).copy_(value)

    extra = [name for name in tensors if name not in used and not name.endswith("position_ids")]
    return missing, sorted(extra)


def _unused(config: EncoderConfig, picks: list[int], extra: list[str]) -> tuple[str, ...]:
    """Return unused names without those of layers that were left out on purpose."""
    left_out = tuple(names.layer_prefix(config, i) for i in range(config.layers) if i not in picks)
    return tuple(name for name in extra if config.shared or not name.startswith(left_out))


def _with_prefix(tensors: dict[str, Tensor], kind: str) -> dict[str, Tensor]:
    """Put `bert.`, `albert.`... in front of the names of a body that was saved without a head."""
    if any(name.startswith(f"{kind}.") for name in tensors):
        return tensors

    parts = ("embeddings.", "encoder.", "transformer.", "pooler.")
    return {
        f"{kind}.{name}" if name.startswith(parts) else name: value
        for name, value in tensors.items()
    }
