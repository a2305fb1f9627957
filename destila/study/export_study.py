"""The study side of an export: scores on dev, the record and the card of the exported model."""

from __future__ import annotations

import hashlib
import json
import logging
import re
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from destila import cpu
from destila.errors import DestilaError, ModelError
from destila.exporting.build import DevScore, ExportCandidate, WindowScore
from destila.exporting.export_folder import load_model
from destila.inference.predictor import RuntimePredictor
from destila.inference.session import feeds, open_session
from destila.measuring.sample_texts import spread
from destila.model_folder import read_folder
from destila.models.hf import Loaded
from destila.models.macs import macs_of
from destila.models.presets import count_parameters
from destila.records import Record
from destila.report import card
from destila.report.differences.verdict import judge
from destila.report.rows import group_rows
from destila.study.planning.data import load_study
from destila.study.planning.keys import ExportKey
from destila.study.planning.recipe import read_recipe
from destila.study.testing import TestedModel, test, timed_alone
from destila.training.predict import window_logits
from destila.types import Example

log = logging.getLogger(__name__)

SAMPLE = 400
"""Dev examples on which single products are judged: there are dozens, each a graph of its own."""

_DTYPES = {"fp32": "float32", "bf16": "bfloat16"}


class ExportStudy:
    """The study of a recipe, for an export: what judges a candidate, and where its record goes.

    Args:
        recipe: the file.
        overrides: `key=value` changes of it.
    """

    def __init__(self, recipe: str, overrides: Sequence[str]) -> None:
        self.study, self.recipe = load_study(read_recipe(recipe, overrides)), recipe
        self.task, self.labels = self.study.task.head, self.study.labels
        self.dev: Sequence[Example] = self.study.dataset.splits["dev"]
        self.training: Sequence[Example] = self.study.dataset.splits["train"]

    def load(self, source: Path) -> Loaded:
        """Return a model with its logits in the order of the study's labels.

        Raises:
            ModelError: the model is of another task or has other labels.
        """
        # A folder without a head, or of another task, is an error before its weights are read.
        info = read_folder(source)
        info.head()
        if info.task != self.task or set(info.labels or ()) != set(self.labels):
            raise ModelError(
                f"{info.path} is a '{info.task}' model with the labels "
                f"{', '.join(info.labels or ())}; {self.recipe} is '{self.task}' with "
                f"{', '.join(self.labels)}: give the recipe it was trained with"
            )
        return load_model(source, task=self.task, labels=self.labels)

    def dev_score(self, loaded: Loaded, max_drop: float) -> DevScore:
        """Return how candidates of a model are judged.

        Args:
            loaded: the model.
            max_drop: the most that a candidate may score below it.
        """
        return DevScore(
            whole=self._score_on(self.dev, loaded),
            sample=self._score_on(spread(self.dev, SAMPLE), loaded),
            reference=self.torch_score(loaded),
            max_drop=max_drop,
        )

    def torch_score(self, loaded: Loaded) -> float:
        """Return the main dev score of the model itself."""
        encoded = self.study.encodings.split("dev", loaded.tokenizer)
        logits = window_logits(loaded.model, encoded.features, pad_id=loaded.tokenizer.pad_id)
        return self._score(self.dev, self.study.task.join_windows(encoded.features, logits))

    def record(
        self, folder: Path, source: Path, candidate: ExportCandidate, loaded: Loaded
    ) -> Record:
        """Return the Record of an exported folder on the test split, timed through the runtime.

        Its role is "exported". The study's record of the run it came from gives it its name and
        seed.

        Args:
            folder: the export.
            source: the model's folder.
            candidate: the one that the folder runs.
            loaded: the model.
        """
        # <run>/best is a run's own folder; any other is named by itself.
        run = source.parent.name if source.name == "best" else source.name
        base, seed = self._origin(run)
        digest = _digest(folder / candidate.file)
        threads = self.study.recipe.measure.threads

        # What is timed is the folder as a user runs it, not the model in torch.
        tested = TestedModel(
            key=ExportKey(data=self.study.key, candidate=candidate.name, files=digest).digest,
            run=run,
            role="exported",
            model=base.model if base else run,
            seed=seed,
            seconds=0.0,
            predictor=RuntimePredictor(folder, threads=threads, candidate=candidate.name),
            params=count_parameters(loaded.model.config, len(self.labels), self.task),
            size_bytes=candidate.bytes,
            macs=macs_of(loaded.model.config, self.task, len(self.labels)),
            config=dict(base.config) if base else {"model": run},
            details={
                "candidate": candidate.name,
                "of": run,
                "drop": candidate.drop,
                "int8_products": candidate.int8_products,
                "products": candidate.products,
                "stable": candidate.stable,
            },
            folder=folder,
            dtype=_DTYPES.get(candidate.kind, "int8"),
        )
        place = self.study.folder / "tested" / f"{run}-{candidate.name}"
        record = test(self.study, tested, place)
        return timed_alone(self.study, tested, record, self.study.dataset.splits["test"])

    def verdict(self, record: Record) -> str:
        """State whether the student behind an export beats its twin and the baseline."""
        verdict = judge(record, group_rows(self.study.recorded.values()))
        return verdict.sentence() if verdict else ""

    def append(self, record: Record) -> None:
        """Add a record to those of the study, where reports and `pick` find it."""
        self.study.record(record)

    def _score_on(self, examples: Sequence[Example], loaded: Loaded) -> WindowScore:
        """Return what scores any function from a window's inputs to its logits on examples."""
        # Encoded once, though dozens of candidates are scored.
        longest = self.study.recipe.max_length
        encoded = self.study.task.encode(
            examples, loaded.tokenizer, self.labels, max_length=longest
        )
        inputs = [feeds(window.input_ids, window.type_ids) for window in encoded.features]

        def score(answer: Callable[[dict[str, np.ndarray]], np.ndarray]) -> float:
            with ThreadPoolExecutor(cpu.threads()) as pool:  # both libraries let others go on
                logits = [batch[0] for batch in pool.map(answer, inputs)]
            return self._score(examples, self.study.task.join_windows(encoded.features, logits))

        return score

    def _score(self, examples: Sequence[Example], rows: Sequence[Any]) -> float:
        """Return the main score of the logits of examples."""
        predictions = self.study.task.decode(examples, rows, self.labels)
        return self.study.task.score(examples, predictions, self.labels)[self.study.main]

    def _origin(self, run: str) -> tuple[Record | None, int]:
        """Return the study's record of a run, and its seed; without one the seed in its name."""
        # The newest record counts; older ones may lack the seed in their run's name.
        for record in reversed(list(self.study.recorded.values())):
            if re.fullmatch(rf"{re.escape(record.run)}(-s\d+)?", run):
                return record, record.seed

        seed = re.search(r"-s(\d+)$", run)
        return None, int(seed[1]) if seed else 0


def export_study(source: Path, recipe: str | None, overrides: Sequence[str]) -> ExportStudy | None:
    """Return the study that an export is judged in; None where there is none.

    Args:
        source: folder of the model; `<study>/students/<run>/best` finds its study by itself.
        recipe: of the study; None: the one that the study's folder keeps.
        overrides: `key=value` changes of a recipe that was given.
    """
    if recipe is not None:
        return ExportStudy(recipe, overrides)

    # The study may have been moved since; its folder is where it is found.
    folder = source.resolve().parents[2] if len(source.resolve().parents) > 2 else source
    place = folder / "recipe.toml"
    if source.name != "best" or not place.is_file():
        return None
    where = [f"out={json.dumps(str(folder.parent))}", f"name={json.dumps(folder.name)}"]
    try:
        return ExportStudy(str(place), where)
    except DestilaError as error:
        log.warning(
            "exported without a score, as the study of this model cannot be loaded (%s): give "
            "--recipe to score and record it",
            error,
        )
        return None


def write_card(
    folder: Path,
    name: str,
    source: Path,
    candidate: ExportCandidate,
    record: Record | None,
    study: ExportStudy | None,
) -> None:
    """Write the model card of an export.

    Args:
        folder: the export, complete but for the card.
        name: of the folder that it will be.
        source: the folder of weights that it was made from.
        candidate: the one that the folder runs.
        record: of its test; None without a recipe.
        study: knows whether the student behind it beats its twin and the baseline; None without.
    """
    # The graph itself says what it takes, so the card cannot be wrong about it.
    inputs = open_session(folder / candidate.file, kind=candidate.kind).inputs
    title = re.sub(r"-exported$", "", name)
    info = card.describe_folder(
        folder,
        title,
        record,
        inputs=inputs,
        source=str(source),
        notes=candidate.notes(),
        verdict=study.verdict(record) if study and record else "",
    )
    (folder / card.CARD_FILE).write_text(card.model_card(info), encoding="utf-8")


def _digest(file: Path) -> str:
    """Return a name of a graph by its bytes; OpenVINO's weights lie beside it."""
    digest = hashlib.blake2b(digest_size=16)
    for path in sorted({file, file.with_suffix(".bin")}):
        if path.is_file():
            digest.update(path.read_bytes())
    return digest.hexdigest()
