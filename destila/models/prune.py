"""A model with fewer pieces: the rows of its token table that a smaller tokenizer still uses."""

from __future__ import annotations

import numpy as np
import torch

from destila.errors import ModelError
from destila.models import heads
from destila.models.heads import Model
from destila.tokenizer.tokenizer import Tokenizer

_TABLE = "encoder.embeddings.word.weight"


@torch.no_grad()
def keep_rows(model: Model, tokenizer: Tokenizer, ids: np.ndarray) -> Model:
    """Return the model that reads with a smaller tokenizer; all weights but the token table stay.

    Args:
        model: before.
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

    pruned = heads.empty_model(smaller, model.task, model.labels)
    rows = torch.from_numpy(ids)  # [V]
    for name, value in model.named_parameters():
        pruned.get_parameter(name).copy_(value[rows] if name == _TABLE else value)
    return pruned.train(model.training)
