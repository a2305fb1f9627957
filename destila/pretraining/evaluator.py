"""What is measured while a pre-training runs: scores on held-out text and, less often, a probe."""

from __future__ import annotations

import logging

from destila.models.mlm import MaskedModel
from destila.pretraining.data.batch_stream import BatchStream
from destila.pretraining.heldout import evaluate_heldout
from destila.pretraining.packed import batch_of, split_rows
from destila.pretraining.pretrain_recipe import PretrainRecipe
from destila.pretraining.probe import prepare_probe
from destila.tokenizer.tokenizer import Tokenizer
from destila.tokenizer.word_marks import characters_per_piece, read_word_marks
from destila.training.precision import precision_for
from destila.training.processes import processes

log = logging.getLogger(__name__)

_ROWS = 64
"""Rows of held-out text that are read at once."""


class PretrainEvaluator:
    """Scores of a model as it is when called: on held-out text and, every so often, by a probe."""

    def __init__(
        self,
        recipe: PretrainRecipe,
        tokenizer: Tokenizer,
        stream: BatchStream,
        model: MaskedModel,
    ) -> None:
        """Read and mask the held-out text once, and encode the data of the probe."""
        self.recipe, self.model = recipe, model
        table = recipe.evaluation
        rows = stream.heldout(length=table.length, tokens=table.tokens)
        self.batches = list(split_rows(batch_of(rows), _ROWS))
        self.marks = read_word_marks(tokenizer)
        self.characters = characters_per_piece(tokenizer)

        self.probe = prepare_probe(table.probe, tokenizer, model.config.max_length)
        for note in self.probe.notes:
            log.info("%s", note)

        self.sharded = recipe.train.parallel == "fsdp" and processes().num_processes > 1
        if self.sharded:
            log.info(
                "no probe while the weights are shared out among processes: "
                "'destila probe' looks at the model"
            )

    def __call__(self, step: int) -> dict[str, float]:
        """Score the model after `step` steps, with all of its layers."""
        train, table = self.recipe.train, self.recipe.evaluation
        device = next(self.model.parameters()).device
        autocast = precision_for(train.precision, device).autocast

        # A stage may run fewer layers than the model has; what is scored is the whole model.
        encoder = self.model.encoder
        depth, encoder.depth = encoder.depth, self.model.config.layers
        scores = evaluate_heldout(
            self.model,
            self.batches,
            self.marks,
            self.characters,
            autocast=autocast,
            shared=True,
        )
        evaluations = step // train.evaluate_every
        due = step == train.steps or (table.probe_every and evaluations % table.probe_every == 0)
        if due and not self.sharded:
            scores |= self.probe.scores(encoder, autocast=autocast)
        encoder.depth = depth

        return scores
