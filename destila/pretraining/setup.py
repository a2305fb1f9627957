"""What a pre-training begins with: its model, its teacher if it has one, and its loss."""

from __future__ import annotations

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
from destila.models.smaller.factorise import factorise_embeddings
from destila.models.weights import weights_fingerprint
from destila.pretraining.corpora import Prepared
from destila.pretraining.data import word_vectors
from destila.pretraining.data.segments import count_corpus_pieces
from destila.pretraining.pretrain_recipe import PretrainRecipe
from destila.progress import Progress
from destila.teachers.live_states import LiveStates
from destila.tokenizer.tokenizer import Tokenizer
from destila.training.batches import StateSource


@dataclass(frozen=True, slots=True)
class Setup:
    """A model before its first step.

    states: where the teacher's inner states come from; None without a teacher.
    every: the model is asked at every token, because its teacher is.
    """

    model: MaskedModel
    loss: WeightedLoss
    states: StateSource | None
    every: bool


def set_up(recipe: PretrainRecipe, prepared: Prepared, progress: Progress) -> Setup:
    """Build the model, the loss and the teacher of a recipe.

    Raises:
        ConfigError: they do not fit each other.
        ModelError: a model cannot be loaded.
    """
    model = _build_model(recipe, prepared, progress)
    plain = build_loss(recipe.terms)

    # Pre-training: no term needs a teacher, and there is none.
    if not recipe.teacher.model:
        if plain.needs_teacher:
            raise ConfigError(
                "terms compare with a teacher and there is none: "
                "give a [teacher] table, or 'hard' alone"
            )
        return Setup(model, plain, None, every=False)

    # Distillation without a task: the terms are built for the shapes of both models.
    if not plain.needs_teacher:
        raise ConfigError(
            "[teacher] is given, but no term compares with it: "
            "add 'kl', 'cosine', 'hidden' or 'relation'"
        )
    # Only a term that compares distributions needs the teacher's head.
    teacher, tokenizer, _ = hf.load_masked(
        recipe.teacher.model, layers=recipe.teacher.layers, head_required=plain.needs_signal
    )
    _check_same_pieces(prepared.tokenizer, tokenizer)
    context = LossContext(
        student=_shape(model, "student"),
        teacher=_shape(teacher, "teacher"),
        axis=2,
        seed=recipe.seed,
    )
    loss = build_loss(recipe.terms, setting=context)
    _check_depths(recipe, model, loss)

    states = LiveStates(teacher, loss.teacher_states, whole=False, signal=loss.needs_signal)
    every = recipe.teacher.tokens == "all" and loss.needs_signal
    return Setup(model, loss, states, every=every)


def empty_like(model: MaskedModel) -> MaskedModel:
    """Return a model of the same shape on the CPU, without values."""
    return mlm.empty_masked_model(model.config, order=model.order is not None)


def start_fingerprints(recipe: PretrainRecipe) -> list[str]:
    """Name the weights that a recipe starts from or learns from, by content."""
    names = []
    if recipe.model.shape is None and recipe.model.source not in PRESETS:
        names.append(recipe.model.source)
    if recipe.teacher.model:
        names.append(recipe.teacher.model)
    return [weights_fingerprint(hub.resolve(name)) for name in names]


def _build_model(recipe: PretrainRecipe, prepared: Prepared, progress: Progress) -> MaskedModel:
    """Load or make the model, and give its tables the values they start from."""
    table = recipe.model
    if table.shape is None and table.source not in PRESETS:
        model, tokenizer, _ = hf.load_masked(
            table.source,
            layers=table.layers,
            head_required=False,
            order=table.order,
            seed=recipe.seed,
        )
        _check_same_pieces(prepared.tokenizer, tokenizer)
        if table.embedding is not None:
            model = factorise_embeddings(model, table.embedding, _piece_counts(prepared))
    else:
        if table.embedding is not None:
            raise ConfigError(
                "model.embedding factorises the token table of a folder's weights, and here they "
                "are new: give the width of the embeddings in model.shape, or a folder as source"
            )
        shape: Any = table.shape if table.shape is not None else table.source
        config = hf.config_for(shape, prepared.tokenizer, table.layers)
        model = mlm.build_masked_model(config, recipe.seed, order=table.order)
    _check_stages(recipe, model)

    if table.words == "cbow":
        progress("word vectors", 0, 0)
        words = model.encoder.embeddings.word.weight  # [V, E]
        initial = words.detach().numpy()
        learnt = word_vectors.vectors(prepared.corpora, initial, table.cbow, seed=recipe.seed)
        with torch.no_grad():
            words.copy_(torch.from_numpy(np.ascontiguousarray(learnt)))
    if table.positions == "sinusoids":
        start_as_sinusoids(model.encoder)
    return model


def _piece_counts(prepared: Prepared) -> np.ndarray:
    """Count how often pieces occur in the corpora, i64 [V].

    The frame, which shards leave out, counts as often as the commonest piece.
    """
    counts = count_corpus_pieces(prepared.corpora, prepared.tokenizer.vocab_size)
    counts[[prepared.tokenizer.cls_id, prepared.tokenizer.sep_id]] = counts.max()
    return counts


def _check_stages(recipe: PretrainRecipe, model: MaskedModel) -> None:
    """Raise ConfigError for what the model cannot do: rows too long, more layers than it has."""
    places, layers = model.config.max_length, model.config.layers
    longest = max(stage.length for stage in recipe.train.stages)
    if longest > places:
        raise ConfigError(f"a stage has rows of {longest} tokens, the model positions for {places}")

    length = recipe.evaluation.length
    if length > places:
        raise ConfigError(
            f"evaluation.length = {length}, but the model has positions for {places}: lower it"
        )

    deepest = max(stage.layers or 0 for stage in recipe.train.stages)
    if deepest > layers:
        raise ConfigError(
            f"a stage runs {deepest} layers, the model has {layers}: lower the stage's layers"
        )


def _check_depths(recipe: PretrainRecipe, model: MaskedModel, loss: WeightedLoss) -> None:
    """Raise ConfigError when a stage leaves out a layer that a term compares."""
    deepest = max((layer for _, layer in loss.student_states), default=0)
    fewest = min(stage.layers or model.config.layers for stage in recipe.train.stages)
    if deepest > fewest:
        raise ConfigError(
            f"a stage runs {fewest} layers, and a term of the loss compares the student's layer "
            f"{deepest}: run all layers, or name lower ones in the term"
        )


def _check_same_pieces(corpora: Tokenizer, model: Tokenizer) -> None:
    """Raise ConfigError when a model reads with another tokenizer than the corpora."""
    if corpora.fingerprint != model.fingerprint:
        raise ConfigError(
            f"the corpora are read with {corpora.source}, but {model.source} is another tokenizer: "
            "both models of a distillation without a task need one vocabulary; "
            "set tokenizer to that folder"
        )


def _shape(model: MaskedModel, name: str) -> ModelShape:
    config = model.config
    return ModelShape(name, "the same", config.layers, config.hidden, config.heads, STATES)
