"""The study side of an export: scores on dev, what each product costs there, the record of the exported model."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import onnx

from destila import config, cpu, records
from destila.errors import ModelError
from destila.exporting.build import CandidateBuilder, CandidateName, ExportCandidate, WindowScore
from destila.exporting.calibration import open_graph
from destila.exporting.sensitivity import Effect, keep_needed, sensitivity
from destila.inference.predictor import RuntimePredictor
from destila.inference.session import feeds
from destila.measuring.profile import spread
from destila.model_folder import FolderInfo
from destila.models.hf import Loaded
from destila.models.macs import macs_of
from destila.models.presets import parameters
from destila.progress import Progress
from destila.study.data import Study
from destila.study.recipe import read
from destila.study.run import Run
from destila.study.testing import TestedModel, assess
from destila.training.predict import window_logits
from destila.types import Example, Record

SAMPLE = 400
"""Dev examples on which single products are judged: there are dozens of them, each a graph of its own."""

_DTYPES = {"fp32": "float32", "bf16": "bfloat16"}


class Exporting:
    """The study of a recipe, for an export."""

    def __init__(self, recipe: str, overrides: Sequence[str]) -> None:
        self.steps = Run(Study(read(recipe, overrides)))
        self.study, self.recipe = self.steps.study, recipe
        self.task, self.labels = self.study.dataset.task, self.study.labels
        self.dev: Sequence[Example] = self.study.dataset.splits["dev"]
        self.training: Sequence[Example] = self.study.dataset.splits["train"]

    def check(self, info: FolderInfo) -> None:
        """Nothing; raises ModelError for a model of another task or with other labels."""
        if info.task != self.task or set(info.labels or ()) != set(self.labels):
            raise ModelError(
                f"{info.path} is a '{info.task}' model with the labels {', '.join(info.labels or ())}; {self.recipe} is "
                f"'{self.task}' with {', '.join(self.labels)}: give the recipe it was trained with"
            )

    def score_of(self, loaded: Loaded, limit: int | None = None) -> WindowScore:
        """The main dev score of any function from the inputs of a window to logits. limit: examples, spread over dev."""
        examples = self.dev if limit is None else spread(self.dev, limit)
        longest = self.study.recipe.max_length
        encoded = self.study.task.encode(
            examples, loaded.tokenizer, self.labels, max_length=longest
        )
        inputs = [feeds(f.input_ids, f.type_ids) for f in encoded.features]

        def score(answer: Callable[[dict[str, np.ndarray]], np.ndarray]) -> float:
            with ThreadPoolExecutor(
                cpu.available()
            ) as pool:  # both libraries let other threads go on
                values = [found[0] for found in pool.map(answer, inputs)]
            return self._score(examples, self.study.task.gather(encoded.features, values))

        return score

    def torch_score(self, loaded: Loaded) -> float:
        """The main dev score of the model itself."""
        encoded = self.study.encode("dev", loaded.tokenizer)
        values = window_logits(loaded.model, encoded.features, pad_id=loaded.tokenizer.pad_id)
        return self._score(self.dev, self.study.task.gather(encoded.features, values))

    def _score(self, examples: Sequence[Example], rows: Sequence[Any]) -> float:
        predictions = self.study.task.decode(examples, rows, self.labels)
        return self.study.task.score(examples, predictions, self.labels)[self.study.main]

    def record(self, folder: Path, source: Path, ran: ExportCandidate, loaded: Loaded) -> Record:
        """The Record of an exported folder on the test split, timed through the runtime; role "exported".

        ran: the candidate that the folder runs. The study's record of the run it came from gives it its name and seed.
        """
        run = source.parent.name if source.name == "best" else source.name
        known = [
            r
            for r in self.steps.recorded.values()
            if re.fullmatch(rf"{re.escape(r.run)}(-s\d+)?", run)
        ]
        base = known[-1] if known else None
        seed = re.search(r"-s(\d+)$", run)
        subject = TestedModel(
            key=config.fingerprint(
                self.study.fingerprint, "exported", ran.name, _digest(folder / ran.file)
            ),
            run=run,
            role="exported",
            model=base.model if base else run,
            seed=base.seed if base else int(seed[1]) if seed else 0,
            seconds=0.0,
            predictor=RuntimePredictor(
                folder, threads=self.study.recipe.measure.threads, candidate=ran.name
            ),
            params=parameters(loaded.model.config, len(self.labels), self.task),
            size_bytes=ran.bytes,
            macs=macs_of(loaded.model.config, self.task, len(self.labels)),
            config=dict(base.config) if base else {"model": run},
            details={
                "candidate": ran.name,
                "of": run,
                "drop": ran.drop,
                "int8_products": ran.int8_products,
                "products": ran.products,
                "stable": ran.stable,
            },
            folder=folder,
            backend=ran.backend,
            dtype=_DTYPES.get(ran.kind, "int8"),
        )
        return assess(self.study, subject, self.steps.folder / "tested" / f"{run}-{ran.name}")

    def append(self, record: Record) -> None:
        """Nothing; adds the record to those of the study, where reports and `pick` find it."""
        records.append(self.steps.records_path, record)


def effects(
    builder: CandidateBuilder, name: str, sample: WindowScore, progress: Progress
) -> list[dict[str, Any]]:
    """What each group of products alone costs in 8 bits, the most harmful first: group, products, score, drop, moved.

    name: the candidate whose int8 is judged; in place of OpenVINO's, which are other graphs, int8-dynamic is.
    """
    progress("what each product costs", 0, 0)
    found = _sensitivity(builder, name, sample)
    return [{**asdict(effect), "products": sorted(effect.products)} for effect in found]


def needed(builder: CandidateBuilder, name: CandidateName, sample: WindowScore) -> frozenset[str]:
    """The products of an int8 graph that must stay in fp32 for the dev score to hold; most often none.

    sample: judges single products, on some of dev. The choice is checked on all of it.
    """
    if builder.score is None or not name.startswith("int8"):
        return frozenset()
    whole = _on_graphs(builder.score)
    if whole(builder.graph) - whole(builder.quantised(name)) <= builder.max_drop:
        return frozenset()
    return keep_needed(
        builder.graph,
        whole,
        builder.max_drop,
        kind=builder.kind(name),
        calibration=builder.calibration_feeds,
        effects=_sensitivity(builder, name, sample),
    )


def _sensitivity(builder: CandidateBuilder, name: str, sample: WindowScore) -> list[Effect]:
    return sensitivity(
        builder.graph,
        _on_graphs(sample),
        kind=builder.kind(name),
        calibration=builder.calibration_feeds,
        windows=builder.window_feeds,
    )


def _on_graphs(score: WindowScore) -> Callable[[onnx.ModelProto], float]:
    """A score of graphs in memory."""

    def of(proto: onnx.ModelProto) -> float:
        session = open_graph(proto)
        names = [value.name for value in session.get_inputs()]
        return score(lambda feeds: session.run(None, {name: feeds[name] for name in names})[0])

    return of


def _digest(file: Path) -> str:
    """Names a graph by its bytes; OpenVINO's weights lie beside it."""
    found = hashlib.blake2b(digest_size=16)
    for path in sorted({file, file.with_suffix(".bin")}):
        if path.is_file():
            found.update(path.read_bytes())
    return found.hexdigest()
