"""A recipe of `destila pretrain`: text, tokenizer, model, how it starts, how it is trained."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, model_validator

from destila import config
from destila.config import NAME_PATTERN, Options, opt
from destila.corpus.train_tokenizer import TokenizerOptions
from destila.pretraining.corpora import Corpus
from destila.pretraining.data import packing, sentence_rows
from destila.pretraining.data.batch_stream import FeedOptions
from destila.pretraining.data.word_vectors import Cbow
from destila.pretraining.pretrain_options import PretrainOptions
from destila.pretraining.probe_options import ProbeOptions


class ModelTable(Options):
    """What is trained and where its weights start."""

    source: str = opt(
        "albeto-tiny", "preset (destila list models), or a folder or hub name to start from"
    )
    shape: dict[str, Any] | None = opt(None, "a new model's shape instead, as in [[students]]")
    layers: int | tuple[int, ...] | None = opt(
        None, "of a folder: layers to keep, or how many; of a preset: layers"
    )
    embedding: int | None = opt(
        None,
        "of a bert folder: factorise its token table to this width, "
        "so that a small model of a large vocabulary is small",
        ge=1,
    )
    order: bool = opt(True, "a head for sentence order (albert, bert)")
    positions: Literal["as they are", "sinusoids"] = opt(
        "as they are", "sinusoids at the scale of the token table instead of small random values"
    )
    words: Literal["as they are", "cbow"] = opt(
        "as they are", "token table from CBOW vectors of the same pieces"
    )
    cbow: Cbow = Cbow()


class TeacherTable(Options):
    """A model with the same vocabulary that runs beside the student.

    The term `kl` needs a masked language model; terms that compare inner states take any encoder.
    """

    model: str = opt("", "folder or hub name; empty = no teacher: pre-training")
    layers: int | tuple[int, ...] | None = opt(None, "layers to keep, or how many; none = all")
    tokens: Literal["all", "chosen"] = opt(
        "all",
        "where distributions are compared: all tokens (DistilBETO's code) "
        "or the chosen ones (its text)",
    )


class EvaluationTable(Options):
    """What is looked at while it trains, every `train.evaluate_every` steps."""

    tokens: int = opt(60_000, "held-out tokens", ge=1)
    length: int = opt(128, "tokens of a held-out row", ge=8)
    probe_every: int = opt(0, "evaluations from probe to probe; 0 = a probe at the end alone", ge=0)
    probe: ProbeOptions = ProbeOptions()


class Variant(Options):
    """One of several runs that differ in few keys."""

    name: str = opt(..., "of its folder and record", pattern=NAME_PATTERN)
    set: tuple[str, ...] = Field((), description='keys that differ: ["train.lr=1e-3"]')


class PretrainRecipe(Options):
    """A pre-training, or several that are compared."""

    name: str = opt(..., "name of the study, and of its folder", pattern=NAME_PATTERN)
    out: str = opt("runs", "folder of the studies")
    results: str | None = opt(None, "folder in which records are kept as <name>.jsonl")
    seed: int = opt(0, "of new weights, order, masking and dropout", ge=0)
    tokenizer: str | TokenizerOptions = opt(
        TokenizerOptions(), "folder or hub name, or a table: train one on the corpora"
    )
    corpora: tuple[Corpus, ...] = Field(description="one table per source", min_length=1)
    model: ModelTable = ModelTable()
    feed: FeedOptions = FeedOptions()
    terms: tuple[dict[str, Any], ...] = opt(
        ({"use": "hard"}, {"use": "order"}), "terms of the loss", min_length=1
    )
    teacher: TeacherTable = TeacherTable()
    train: PretrainOptions = PretrainOptions()
    evaluation: EvaluationTable = EvaluationTable()
    runs: tuple[Variant, ...] = opt((), "several runs instead of one")

    @model_validator(mode="after")
    def _fits(self) -> PretrainRecipe:
        self._check_terms()
        self._check_lengths()
        names = [variant.name for variant in self.runs]
        if len(set(names)) < len(names):
            raise ValueError(f"runs has a name twice: {', '.join(names)}")
        return self

    def _check_terms(self) -> None:
        """Raise ValueError when text, model and terms of the loss do not fit each other."""
        terms = {term.get("use") for term in self.terms}
        if self.feed.form == "lines" and self.model.order:
            raise ValueError(
                "feed.form = 'lines' has no pairs of sentences: set model.order = false"
            )
        if not self.model.order and "order" in terms:
            raise ValueError(
                "terms holds 'order', but model.order = false: drop the one or the other"
            )
        if self.feed.form == "pairs" and "relation" in terms:
            raise ValueError(
                "terms holds 'relation', which relates all tokens of a row, and feed.form = "
                "'pairs' packs several pairs into one: set feed.form = 'lines', or use 'hidden' or "
                "'cosine'"
            )

    def _check_lengths(self) -> None:
        """Raise ValueError when rows are too short for their form."""
        form = self.feed.form
        shortest = packing.SHORTEST_PAIR_ROW
        if form == "lines":
            shortest = sentence_rows.SHORTEST_SENTENCE_ROW

        stages = enumerate(self.train.stages)
        lengths = {f"train.stages.{i}.length": stage.length for i, stage in stages}
        lengths["evaluation.length"] = self.evaluation.length
        for key, length in lengths.items():
            if length < shortest:
                raise ValueError(
                    f"{key} = {length}, but rows of {form} have at least {shortest} tokens: "
                    "raise it"
                )


def read_pretrain_recipe(path: str, sets: Sequence[str] = ()) -> PretrainRecipe:
    """Read the recipe in a TOML file, with overrides; raise ConfigError when it does not fit."""
    return config.load_config(PretrainRecipe, Path(path), sets)


def variants(path: str, sets: Sequence[str] = ()) -> list[tuple[str, PretrainRecipe]]:
    """List name and recipe of every run; a recipe without runs is one of its own name.

    Raises:
        ConfigError: a recipe does not fit.
    """
    base = read_pretrain_recipe(path, sets)
    if not base.runs:
        return [(base.name, base)]

    recipes = []
    for variant in base.runs:
        recipes.append((variant.name, read_pretrain_recipe(path, [*sets, *variant.set])))
    return recipes
