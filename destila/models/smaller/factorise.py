"""A narrow token table and a projection in place of a wide table, for small students.

Most weights of a small encoder with a large vocabulary are its token table.

    before     e = LayerNorm(word + position + type)                      width H
    after      e ~ project(LayerNorm(word' + position' + type'))          width E inside, then H

The narrow tables are the wide ones in the E directions in which the token table, each piece
weighted by how often it occurs, spreads most (its singular vectors). The projection is the
least-squares answer to what the wide embeddings say of the same pieces at some positions, so that
the layers behind it meet nearly the same vectors as before. What is lost is for training to heal:
compare embedding outputs (a pair [0, 0] of the term `hidden`).

The result has no dropout, since noise blurs the states that are compared. It is an ALBERT with own
blocks, which other programs know as `AlbertModel` with as many groups as layers.
"""

from __future__ import annotations

from typing import TypeVar

import numpy as np
import torch
from torch import Tensor

from destila.errors import ConfigError
from destila.models import heads, mlm
from destila.models.encoder import Embeddings, Encoder
from destila.models.heads import Model
from destila.models.mlm import MaskedModel

AnyModel = TypeVar("AnyModel", Model, MaskedModel)

_POSITIONS = 4
"""Positions at which every piece is looked at to fit the projection."""

_LAST_POSITION = 127
"""The last of them, where the table has so many."""

_RARE = 0.05
"""What a piece that never occurs counts, as a share of the mean weight."""

_RIDGE = 1e-4
"""Penalty of the projection's weights, as a share of what their inputs' squares sum to."""


@torch.no_grad()
def factorise_embeddings(model: AnyModel, width: int, counts: np.ndarray | None = None) -> AnyModel:
    """Return a model with narrow embeddings that is near a BERT; its layers are copies.

    Args:
        model: a BERT with any head.
        width: of the new embeddings.
        counts: i64 [V], how often each piece occurs; None: all count alike.

    Raises:
        ConfigError: the model is of another kind, or the width is not below its own.
    """
    old = model.config
    if old.kind != "bert" or not 0 < width < old.hidden:
        raise ConfigError(
            f"embeddings of width {width}: only a bert is factorised, and to less than its hidden "
            f"size; this is a {old.kind} of hidden size {old.hidden}"
        )

    # a model of the new shape with the same head
    config = old.with_values(
        kind="albert", own_blocks=True, embedding=width, dropout=0.0, attention_dropout=0.0
    )
    narrow = (
        mlm.empty_masked_model(config, order=model.order is not None)
        if isinstance(model, MaskedModel)
        else heads.empty_model(config, model.task, model.labels)
    )
    heads.initialise(narrow, (name for name, _ in narrow.named_parameters()), 0)

    # whatever has kept its shape is copied: layers, and the head of a task
    shapes = {name: value.shape for name, value in narrow.state_dict().items()}
    kept = {k: v for k, v in model.state_dict().items() if v.shape == shapes.get(k)}
    narrow.load_state_dict(kept, strict=False)

    _fit_embeddings(narrow.encoder, model.encoder.embeddings, _weights(counts, old.vocab_size))
    return narrow


def _weights(counts: np.ndarray | None, size: int) -> Tensor:
    """Return weights of pieces, f64 [V], with a mean of 1.

    They are roots of the counts, so that the commonest pieces do not decide alone.
    """
    if counts is None:
        return torch.ones(size, dtype=torch.float64)

    roots = torch.from_numpy(counts).double().sqrt()
    weights = roots / roots.mean().clamp(min=1e-12) + _RARE
    return weights / weights.mean()


def _fit_embeddings(encoder: Encoder, wide: Embeddings, weights: Tensor) -> None:
    """Set the narrow tables, their LayerNorm and the projection of an encoder.

    Args:
        encoder: changed in place.
        wide: the embeddings to be near to.
        weights: f64 [V], how much each piece counts, with a mean of 1.
    """
    narrow, project = encoder.embeddings, encoder.project
    assert project is not None, "an albert has a projection"

    # the directions in which the token table spreads most
    words = wide.word.weight.double()  # [V, H]
    centred = words - (weights[:, None] * words).mean(0)
    _, vectors = torch.linalg.eigh(centred.T @ (weights[:, None] * centred))
    basis = vectors[:, -narrow.word.embedding_dim :]  # [H, E]; eigenvalues ascend

    # all tables in these directions
    narrow.word.weight.copy_(centred @ basis)
    positions = wide.position.weight.double()  # [P, H]
    narrow.position.weight.copy_((positions - positions.mean(0)) @ basis)
    if narrow.token_type is not None and wide.token_type is not None:
        types = wide.token_type.weight.double()  # [T, H]
        narrow.token_type.weight.copy_((types - types[0]) @ basis)
    narrow.norm.weight.fill_(1.0)
    narrow.norm.bias.zero_()

    # weighted least squares from narrow outputs to wide ones, over every piece at some positions
    inputs = narrow.word.embedding_dim + 1  # E, and the bias
    gram = torch.zeros(inputs, inputs, dtype=torch.float64)
    cross = torch.zeros(inputs, wide.word.embedding_dim, dtype=torch.float64)
    last = min(_LAST_POSITION, len(positions) - 1)
    for position in np.linspace(0, last, _POSITIONS).astype(int):
        x = _embed_all(narrow, int(position))
        x = torch.cat([x, torch.ones(len(x), 1, dtype=torch.float64)], dim=1)  # [V, E + 1]
        gram += x.T @ (weights[:, None] * x)
        cross += x.T @ (weights[:, None] * _embed_all(wide, int(position)))

    # The values of a LayerNorm sum to 0, so one direction is free: without the ridge its weights
    # could be anything.
    ridge = _RIDGE * gram.diagonal().mean() * torch.eye(inputs, dtype=torch.float64)
    solution = torch.linalg.solve(gram + ridge, cross)  # [E + 1, H]
    project.weight.copy_(solution[:-1].T)
    project.bias.copy_(solution[-1])


def _embed_all(embeddings: Embeddings, position: int) -> Tensor:
    """Return the embedding outputs, f64 [V, E], of every piece at a position, without dropout."""
    training = embeddings.training
    pieces = torch.arange(len(embeddings.word.weight))[:, None]  # [V, 1]
    outputs: Tensor = embeddings.eval()(pieces, None, torch.full_like(pieces, position))
    embeddings.train(training)
    return outputs[:, 0].double()
