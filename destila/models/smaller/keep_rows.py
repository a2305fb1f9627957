"""A model with fewer pieces: the rows of its token table that a smaller tokenizer still uses."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from destila.errors import ModelError
from destila.model_folder import FolderInfo
from destila.models import heads, hf, mlm
from destila.models.heads import Model
from destila.models.mlm import MaskedModel
from destila.tokenizer.tokenizer import Tokenizer

_TABLE = "encoder.embeddings.word.weight"
_OUTPUT_BIAS = "head.bias"
"""A masked language model answers with a piece: its last bias has one value for each of them."""


@dataclass(frozen=True, slots=True)
class WholeFolder:
    """All that a folder holds: its encoder and whatever head it has.

    Args:
        model: with its head; where the folder has none, with a new one that is not to be saved.
        tokenizer: what it reads with.
        headless: the folder has an encoder alone.
    """

    model: Model | MaskedModel
    tokenizer: Tokenizer
    headless: bool

    @property
    def parameters(self) -> int:
        """Count the values that the folder holds."""
        counted: torch.nn.Module = self.model.encoder if self.headless else self.model
        return sum(p.numel() for p in counted.parameters())


def load_whole(info: FolderInfo) -> WholeFolder:
    """Load a model with its task head, as a masked language model, or as an encoder alone.

    Args:
        info: what its folder says.

    Raises:
        ModelError: the folder or its weights do not fit.
    """
    if info.task is not None:
        loaded = hf.load(info.path, head_required=True)
        return WholeFolder(loaded.model, loaded.tokenizer, headless=False)

    order = info.architecture.endswith("ForPreTraining")
    model, tokenizer, report = hf.load_masked(info.path, head_required=False, order=order)
    return WholeFolder(model, tokenizer, headless=report.new_head)


@torch.no_grad()
def keep_rows(
    model: Model | MaskedModel, tokenizer: Tokenizer, ids: np.ndarray
) -> Model | MaskedModel:
    """Return the model that reads with a smaller tokenizer; all weights but the token table stay.

    Args:
        model: before, with a task head or as a masked language model.
        tokenizer: the smaller one.
        ids: the old id of each of its ids, i64 [V].

    Raises:
        ModelError: the padding id is part of the positions and would change.
    """
    config = model.config
    if config.kind == "roberta" and tokenizer.pad_id != config.pad_id:
        raise ModelError(
            f"the padding id moved from {config.pad_id} to {tokenizer.pad_id}, "
            "which moves every position"
        )

    # special tokens that the config names have new ids, or none any more
    new_ids = {int(old): new for new, old in enumerate(ids)}
    marks = {"bos_id": config.bos_id, "eos_id": config.eos_id}
    moved = {name: None if old is None else new_ids.get(old) for name, old in marks.items()}
    smaller = config.with_values(vocab_size=len(ids), pad_id=tokenizer.pad_id, **moved)

    per_piece = {_TABLE}
    pruned: Model | MaskedModel
    if isinstance(model, MaskedModel):
        pruned = mlm.empty_masked_model(smaller, order=model.order is not None)
        per_piece.add(_OUTPUT_BIAS)
    else:
        pruned = heads.empty_model(smaller, model.task, model.labels)

    rows = torch.from_numpy(ids)  # [V]
    for name, value in model.named_parameters():
        pruned.get_parameter(name).copy_(value[rows] if name in per_piece else value)
    return pruned.train(model.training)
