"""The teacher and the students that a user gets who names none, or a teacher alone.

Students have a teacher's first layers: a quarter of them (`fast`), a third (`balanced`), half
(`careful`). Which one is worth its milliseconds depends on the data, so all three are trained, and
the report and `destila pick` compare them.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, get_args

from destila.hub import spellings
from destila.model_folder import read_folder
from destila.models.architecture import ArchitectureKind
from destila.study.intake.default_way import default_way, rate_of_first_layers
from destila.study.intake.file_choices import StudentSize
from destila.study.planning.distil_options import DistilOptions
from destila.study.planning.recipe import StudentSpec, TeacherSpec
from destila.study.planning.tokenizer_spec import TokenizerSpec
from destila.teachers.given_labels import is_label_file
from destila.types import Dataset

_PARTS: Mapping[StudentSize, int] = {"balanced": 3, "fast": 4, "careful": 2}
"""One layer of how many is kept; of two sizes of one depth the first here has its name."""

_LEAST = 2
"""Layers of any student."""

_LAYERS = 12
"""Of a teacher whose layers cannot be counted yet."""

_SMALL_BERT = {"kind": "bert", "hidden": 256, "heads": 4, "ffn": 1024}
"""For whatever starts from scratch."""


@dataclass(frozen=True, slots=True)
class DefaultModels:
    """The models of a recipe and how the students learn.

    positions: tokens that the teacher reads at most.
    """

    teacher: TeacherSpec
    students: tuple[StudentSpec, ...]
    distil: DistilOptions = field(default_factory=DistilOptions)
    positions: int = 512


def default_models(
    dataset: Dataset, teacher: str | None, size: StudentSize | None
) -> DefaultModels:
    """Return the models of a study of a data set.

    Args:
        dataset: what is learned.
        teacher: folder, hub name or file of labels; None: teacher and student start from scratch,
            with a tokenizer of their own text.
        size: of the student; None: all of them.
    """
    own = TokenizerSpec()
    if teacher is None or is_label_file(teacher):
        student = StudentSpec(name="student", shape=_SMALL_BERT | {"layers": 2}, tokenizer=own)
        if teacher is None:
            shape = _SMALL_BERT | {"layers": 4}
            spec = TeacherSpec(name="teacher", shape=shape, tokenizer=own)
            return DefaultModels(spec, (student,))

        # No made text would have labels.
        terms = default_way(dataset)[0].terms
        return DefaultModels(TeacherSpec(labels=teacher), (student,), DistilOptions(terms=terms))

    known = config_of(teacher) or {}
    spec = TeacherSpec(model=teacher)
    distil, train = default_way(dataset)
    positions = int(known.get("max_position_embeddings") or 512)

    # A teacher that only transformers can run has no layers for our encoder, so its student
    # starts from scratch, with the teacher's tokenizer.
    if known.get("model_type", "bert") not in get_args(ArchitectureKind):
        shape = _SMALL_BERT | {"layers": 2}
        student = StudentSpec(name="student", shape=shape, tokenizer=teacher, train=train)
        return DefaultModels(spec, (student,), distil, positions)

    train |= rate_of_first_layers(known, dataset)
    students = [
        StudentSpec(name=name, model=teacher, layers=depth, start=spec.label, train=train)
        for name, depth in depths(known, size).items()
    ]
    return DefaultModels(spec, tuple(students), distil, positions)


def depths(teacher: Mapping[str, Any], size: StudentSize | None = None) -> dict[str, int]:
    """Return the layers of every size of student, the smallest first.

    Args:
        teacher: its config.json; empty where it is not here.
        size: the only one; None: all whose layers differ.
    """
    layers = int(teacher.get("num_hidden_layers") or teacher.get("n_layers") or _LAYERS)
    every = {name: max(_LEAST, layers // part) for name, part in _PARTS.items()}
    if size is not None:
        return {size: every[size]}

    # A small teacher has fewer sizes.
    named: dict[int, str] = {}
    for name, depth in every.items():
        named.setdefault(depth, name)
    return {named[depth]: depth for depth in sorted(named)}


def is_here(teacher: str) -> bool:
    """Tell whether a teacher is a folder, or a file of labels, on this disk."""
    return is_label_file(teacher) or config_of(teacher) is not None


def config_of(teacher: str) -> Mapping[str, Any] | None:
    """Return `config.json` of a teacher on this disk; None for one that is still on the hub."""
    models = os.environ.get("DESTILA_MODELS")
    folders = [Path(teacher), *(Path(models) / name for name in spellings(teacher) if models)]
    folder = next((f for f in folders if (f / "config.json").is_file()), None)
    return read_folder(folder).config if folder else None
