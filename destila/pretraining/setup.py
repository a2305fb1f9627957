"""What a pre-training begins with: its model, its teacher if it has one, and the loss between them."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from destila import hub
from destila.errors import ConfigError
from destila.losses.term import LossContext, ModelShape
from destila.losses.weighted import WeightedLoss, build_loss
from destila.models import hf, mlm
from destila.models.encoder import STATES
from destila.models.mlm import MaskedModel
from destila.models.positions import start_as_sinusoids
from destila.models.presets import PRESETS
from destila.models.weights import weights_fingerprint
from destila.pretraining.corpora import Prepared
from destila.pretraining.data import word_vectors
from destila.pretraining.recipe import PretrainRecipe
from destila.progress import Progress
from destila.teachers.live_states import LiveStates
from destila.tokenizer.tokenizer import Tokenizer
from destila.training.batches import StateSource

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Setup:
    """A model before its first step. every: the model is asked at every token, because its teacher is."""

    model: MaskedModel
    loss: WeightedLoss
    insight: StateSource | None
    every: bool


def set_up(recipe: PretrainRecipe, found: Prepared, progress: Progress) -> Setup:
    """The model, loss and teacher of a recipe; raises ConfigError, ModelError when they do not fit."""
    model = _model(recipe, found, progress)
    plain = build_loss(recipe.terms)
    if not recipe.teacher.model:
        if plain.needs_teacher:
            raise ConfigError(
                "terms compare with a teacher and there is none: give a [teacher] table, or 'hard' alone"
            )
        return Setup(model, plain, None, every=False)
    if not plain.needs_teacher:
        raise ConfigError(
            "[teacher] is given, but no term compares with it: add 'kl', 'cosine', 'hidden' or 'relation'"
        )
    teacher, theirs, _ = hf.load_masked(recipe.teacher.model, layers=recipe.teacher.layers)
    _same_pieces(found.tokenizer, theirs)
    setting = LossContext(
        student=_shape(model, "student"),
        teacher=_shape(teacher, "teacher"),
        axis=2,
        seed=recipe.seed,
    )
    loss = build_loss(recipe.terms, setting=setting)
    _check_depths(recipe, model, loss)
    live = LiveStates(teacher, loss.teacher_states, whole=False, signal=loss.needs_signal)
    return Setup(model, loss, live, every=recipe.teacher.tokens == "all" and loss.needs_signal)


def empty_like(model: MaskedModel) -> MaskedModel:
    """A model of the same shape on the CPU, without values."""
    return mlm.empty_masked_model(model.config, order=model.order is not None)


def start_fingerprints(recipe: PretrainRecipe) -> list[str]:
    """Names of the weights that a recipe starts from or learns from."""
    given = (
        []
        if recipe.model.shape is not None or recipe.model.source in PRESETS
        else [recipe.model.source]
    )
    given += [recipe.teacher.model] if recipe.teacher.model else []
    return [weights_fingerprint(hub.resolve(name)) for name in given]


def _model(recipe: PretrainRecipe, found: Prepared, progress: Progress) -> MaskedModel:
    table = recipe.model
    if table.shape is None and table.source not in PRESETS:
        model, own, report = hf.load_masked(
            table.source,
            layers=table.layers,
            head_required=False,
            order=table.order,
            seed=recipe.seed,
        )
        _same_pieces(found.tokenizer, own)
        del report  # it has been said
    else:
        shape: Any = table.shape if table.shape is not None else table.source
        model = mlm.build(
            hf.config_for(shape, found.tokenizer, table.layers), recipe.seed, order=table.order
        )
    _check_stages(recipe, model)
    if table.words == "cbow":
        progress("word vectors", 0, 0)
        words = model.encoder.embeddings.word.weight
        start = words.detach().numpy()
        learned = word_vectors.vectors(found.corpora, start, table.cbow, seed=recipe.seed)
        with torch.no_grad():
            words.copy_(torch.from_numpy(np.ascontiguousarray(learned)))
    if table.positions == "sinusoids":
        start_as_sinusoids(model.encoder)
    return model


def _check_stages(recipe: PretrainRecipe, model: MaskedModel) -> None:
    """Raises ConfigError for what the model cannot do, before any step: rows too long, more layers than it has."""
    places, layers = model.config.max_length, model.config.layers
    longest = max(stage.length for stage in recipe.train.stages)
    if longest > places:
        raise ConfigError(f"a stage has rows of {longest} tokens, the model positions for {places}")
    if recipe.evaluation.length > places:
        raise ConfigError(
            f"evaluation.length = {recipe.evaluation.length}, but the model has positions for {places}: lower it"
        )
    deepest = max(stage.layers or 0 for stage in recipe.train.stages)
    if deepest > layers:
        raise ConfigError(
            f"a stage runs {deepest} layers, the model has {layers}: lower the stage's layers"
        )


def _check_depths(recipe: PretrainRecipe, model: MaskedModel, loss: WeightedLoss) -> None:
    """Raises ConfigError when a stage leaves out a layer that a term compares."""
    deepest = max((layer for _, layer in loss.student_states), default=0)
    fewest = min(stage.layers or model.config.layers for stage in recipe.train.stages)
    if deepest > fewest:
        raise ConfigError(
            f"a stage runs {fewest} layers, and a term of the loss compares the student's layer {deepest}: run all layers, or "
            "name lower ones in the term"
        )


def _same_pieces(ours: Tokenizer, theirs: Tokenizer) -> None:
    if ours.fingerprint != theirs.fingerprint:
        raise ConfigError(
            f"the corpora are read with {ours.source}, but {theirs.source} is another tokenizer: "
            "both models of a distillation without a task need one vocabulary; set tokenizer to that folder"
        )


def _shape(model: MaskedModel, name: str) -> ModelShape:
    found = model.config
    return ModelShape(name, "the same", found.layers, found.hidden, found.heads, STATES)
