"""What takes the place of published models and files in a dry run: random weights in their shapes.

A tokenizer learns a few lines and gets as many further pieces as the published vocabulary has, so
that every table is as large as the real one.
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from destila.errors import ConfigError
from destila.matrix.matrix import Cell
from destila.matrix.stand_in_files import stand_in_data, stand_in_lines
from destila.models import hf, store
from destila.models.architecture import EncoderConfig, from_shape
from destila.models.presets import PRESETS, count_parameters, preset_of
from destila.study.planning.recipe import ModelSpec, Recipe
from destila.tokenizer.tokenizer import load_tokenizer, parse_tokenizer
from destila.tokenizer.train import BETO, Layout, TokenizerKind, learn

MAX_LENGTH = 64
"""Most tokens of a window in a dry run."""

_LARGE = 150_000_000
"""Weights from which on a step is of one window: two take twice as long and show no more."""

_FAMILY: dict[str, tuple[TokenizerKind, Layout | None]] = {
    "albert": ("bpe", None),
    "bert": ("wordpiece", BETO),
    "distilbert": ("wordpiece", BETO),
    "roberta": ("bytelevel", None),
}
"""The kind of vocabulary of every published architecture."""


@dataclass(kw_only=True)
class StandIns:
    """Makes stand-ins in a folder, each tokenizer and teacher once.

    Args:
        folder: for files, tokenizers and teachers.
    """

    folder: Path

    def recipe(self, cell: Cell, teacher: str | None, labels: tuple[str, ...], head: str) -> Recipe:
        """Return the recipe of a cell for two steps with stand-ins.

        Args:
            cell: of a matrix.
            teacher: label of the one teacher that takes part; None: there is none.
            labels: of its data set.
            head: the kind of head of its task.
        """
        recipe = cell.recipe
        student = recipe.students[0]
        shape = shape_of(student)
        rows = 1 if count_parameters(shape) > _LARGE else 2
        quick = {"steps": 2, "epochs": 1, "batch_size": rows, "accumulation": 1, "evaluations": 1.0}
        changes: dict[str, Any] = {
            "data": self.data(cell),
            "max_length": min(recipe.max_length, MAX_LENGTH),
            "span": recipe.span.model_copy(update={"window": None, "stride": None}),
            "train": recipe.options(student.train, quick),
            "students": (
                student.model_copy(
                    update={
                        "model": preset_of(student.model or ""),
                        "tokenizer": str(self.tokenizer(shape)),
                        "train": {},
                    }
                ),
            ),
            "teachers": (),
            "out": str(self.folder / "runs"),
            "results": None,
            "search": None,
        }
        for spec in recipe.teachers:
            if spec.label == teacher:
                place = self.teacher(spec, cell.dataset, labels, head)
                changes["teachers"] = (
                    spec.model_copy(
                        update={"model": str(place), "finetune": False, "label_map": {}}
                    ),
                )
        return recipe.model_copy(update=changes)

    def data(self, cell: Cell) -> dict[str, Any]:
        """Return the [data] table of a cell for invented files."""
        return stand_in_data(cell.recipe.data, self.folder / "data")

    def tokenizer(self, shape: EncoderConfig) -> Path:
        """Return the folder of a tokenizer with as many pieces as a shape has rows for."""
        kind, layout = _FAMILY[shape.kind]
        place = self.folder / "tokenizers" / f"{kind}-{shape.vocab_size}"
        if place.is_dir():
            return place

        # Further pieces that no text has.
        learned = learn(stand_in_lines(), kind=kind, vocab_size=300, layout=layout)
        spec, settings = learned.content()
        vocabulary = spec["model"]["vocab"]
        for number in range(len(vocabulary), shape.vocab_size):
            vocabulary[f"[unused{number}]"] = number
        parse_tokenizer(spec, settings, source="a stand-in").save(place)
        return place

    def teacher(self, spec: ModelSpec, dataset: str, labels: tuple[str, ...], head: str) -> Path:
        """Return the folder of a teacher with random weights; only the last one is kept."""
        shape = shape_of(spec)
        name = f"{spec.label}-{dataset}"
        place = self.folder / "teachers" / name
        if not place.is_dir():
            tokenizer = load_tokenizer(self.tokenizer(shape))
            source = preset_of(spec.model or "") or shape
            for old in place.parent.glob("*"):
                shutil.rmtree(old)  # a large one takes over a gigabyte
            loaded = hf.load(source, tokenizer=tokenizer, task=head, labels=labels, seed=1)
            store.save_model(loaded.model, tokenizer, place, half=True)
        return place


def shape_of(spec: ModelSpec) -> EncoderConfig:
    """Return the published shape of a model, by its name or as it is written out.

    Raises:
        ConfigError: its shape is not known.
    """
    if spec.shape is not None:
        # Its vocabulary is that of the model whose tokenizer it reads with.
        other = preset_of(spec.tokenizer if isinstance(spec.tokenizer, str) else "")
        base = PRESETS[other or "roberta-bne-base"]
        config = from_shape(spec.shape, vocab_size=base.vocab_size, pad_id=base.pad_id)
    else:
        preset = preset_of(spec.model or "")
        if preset is None:
            raise ConfigError(
                f"'{spec.label}' = {spec.model}: a dry run knows the shapes of published models "
                "alone (destila presets)"
            )
        config = PRESETS[preset]
    return config if spec.depth is None else config.with_values(layers=spec.depth)


def teacher_in_turn(recipe: Recipe, turn: int) -> ModelSpec | None:
    """Return one of a recipe's teachers, the first turn that of most weights; None for no teacher.

    Args:
        recipe: of a cell.
        turn: of the cell among those of its data set: each tries another teacher.
    """
    if not recipe.teachers:
        return None
    by_size = sorted(recipe.teachers, key=lambda spec: -count_parameters(shape_of(spec)))
    return by_size[turn % len(by_size)]
