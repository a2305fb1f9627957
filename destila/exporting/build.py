"""The files an export can hold, each built, saved, read again and proven.

fp32                 onnxruntime, what the others are compared with
int8-dynamic         onnxruntime, activations scaled per text
int8-static          onnxruntime, activations scaled once, on calibration texts
openvino-bf16        OpenVINO, computed in bfloat16
openvino-int8        OpenVINO, quantised by NNCF on calibration texts
openvino-int8-bf16   the same, and what is not int8 computed in bfloat16: faster on long texts
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
import onnx

from destila.errors import ModelError
from destila.exporting import int8, proof
from destila.exporting import onnx as graphs
from destila.exporting import openvino as ir
from destila.exporting.count import bytes_formula, count_products, expected
from destila.exporting.proof import Window
from destila.inference.session import feeds, open_session
from destila.models.heads import Model

CandidateName = Literal[
    "fp32", "int8-dynamic", "int8-static", "openvino-bf16", "openvino-int8", "openvino-int8-bf16"
]
CANDIDATES: tuple[CandidateName, ...] = get_args(CandidateName)
CALIBRATED: tuple[CandidateName, ...] = ("int8-static", "openvino-int8", "openvino-int8-bf16")

WindowScore = Callable[[Callable[[dict[str, np.ndarray]], np.ndarray]], float]
"""The main dev score of a function from the inputs of one window to its logits."""


@dataclass(frozen=True, slots=True)
class ExportCandidate:
    """One file of an export and what was proven of it; export.json lists these.

    bytes: of all its files. products: of weights or activations with activations. parity: largest difference of the
    logits from torch's, relative to the largest logit. score, drop: on dev, and below torch's; None without a recipe.
    stable: a text's answer has the same bits on 1 or 2 threads, in any order, alone or beside others.
    """

    name: str
    file: str
    backend: str
    kind: str
    bytes: int
    int8_products: int
    products: int
    parity: float
    stable: bool
    kept_fp32: tuple[str, ...] = ()
    score: float | None = None
    drop: float | None = None

    def plain(self) -> dict[str, Any]:
        """The object of export.json."""
        return {**asdict(self), "kept_fp32": list(self.kept_fp32)}


class CandidateBuilder:
    """Builds the candidates of one model.

    windows: what answers are compared on. calibration: windows of training text, for fixed scales. score: see Score;
    None without a recipe. reference: torch's score.
    """

    def __init__(
        self,
        model: Model,
        windows: Sequence[Window],
        calibration: Sequence[Window] = (),
        *,
        score: WindowScore | None = None,
        reference: float | None = None,
        max_drop: float = 0.005,
    ) -> None:
        self.model, self.windows, self.calibration = model, windows, calibration
        self.score, self.reference, self.max_drop = score, reference, max_drop
        self.graph = graphs.build(model, mask=False)  # fp32, for unpadded texts

    def possible(self) -> list[CandidateName]:
        """The candidates that can be built here: installed, and with texts to calibrate on where they need them."""
        openvino = all(importlib.util.find_spec(name) is not None for name in ("openvino", "nncf"))
        found = [name for name in CANDIDATES if openvino or not name.startswith("openvino")]
        return [name for name in found if self.calibration or name not in CALIBRATED]

    def build(
        self, name: CandidateName, folder: Path, keep: frozenset[str] = frozenset()
    ) -> ExportCandidate:
        """One candidate, saved in a folder as `model.<name>.onnx` or `.xml` and proven.

        keep: products that stay in fp32. Raises ModelError when the file is not what it should be or its score drops.
        """
        if name in CALIBRATED and not self.calibration:
            raise ModelError(f"{name} takes its scales from texts: give --texts or --recipe")
        found = (
            self._openvino(name, folder)
            if name.startswith("openvino")
            else self._onnx(name, folder, keep)
        )
        return self._scored(found, folder)

    def _onnx(self, name: CandidateName, folder: Path, keep: frozenset[str]) -> ExportCandidate:
        file = folder / f"model.{name}.onnx"
        onnx.save(self.graph if name == "fp32" else self.quantised(name, keep), str(file))
        session = open_session(file)
        counted, config = count_products(file), self.model.config
        weighted, total = expected(config, self.model.task)
        kept = frozenset(int8.products(self.graph)) if name == "fp32" else keep - {"embeddings"}
        proof.all_products(file, counted, (weighted, total), len(kept))
        kind = "fp32" if name == "fp32" else "int8"
        formula = bytes_formula(config, self.model.task, kind, len(self.model.labels))
        proof.right_size(
            file, file.stat().st_size, formula + (self._extra_bytes(keep) if name != "fp32" else 0)
        )
        answers = proof.same_answers if name == "fp32" else proof.logit_difference
        return ExportCandidate(
            name=name,
            file=file.name,
            backend="onnxruntime",
            kind=name,
            bytes=file.stat().st_size,
            int8_products=counted[0],
            products=counted[1],
            parity=answers(session, self.model, self.windows),
            stable=proof.stable(file, self.windows, kind=name),
            kept_fp32=tuple(sorted(keep)),
        )

    def quantised(self, name: CandidateName, keep: frozenset[str] = frozenset()) -> onnx.ModelProto:
        """The int8 graph of a candidate."""
        return int8.quantise(
            self.graph, kind=self.kind(name), keep=keep, calibration=self.calibration_feeds
        )

    def kind(self, name: str) -> int8.QuantKind:
        """How activations are scaled in an onnxruntime candidate."""
        return "static" if name == "int8-static" else "dynamic"

    @property
    def window_feeds(self) -> list[dict[str, np.ndarray]]:
        """The inputs of the graph on the windows that answers are compared on."""
        return _of([value.name for value in self.graph.graph.input], self.windows)

    @property
    def calibration_feeds(self) -> list[dict[str, np.ndarray]]:
        """The inputs of the graph on the calibration windows."""
        return _of([value.name for value in self.graph.graph.input], self.calibration)

    def _extra_bytes(self, keep: frozenset[str]) -> int:
        """Bytes that weights kept in fp32 add: 4 a value, of which 1 is saved where no product uses them in int8."""
        sizes = {tensor.name: int(np.prod(tensor.dims)) for tensor in self.graph.graph.initializer}
        uses: dict[str, set[str]] = {}
        for node in self.graph.graph.node:
            if node.op_type == "MatMul" and node.input[1] in sizes:
                uses.setdefault(node.input[1], set()).add(node.name)
        found = 0
        for weight, users in uses.items():
            found += (3 if users <= keep else 4) * sizes[weight] if users & keep else 0
        return found + (
            3 * sum(sizes[table] for table in int8.TABLES) if "embeddings" in keep else 0
        )

    def _openvino(self, name: CandidateName, folder: Path) -> ExportCandidate:
        file = folder / f"model.{name}.xml"
        found, kind = ir.build(self.model), name.removeprefix("openvino-")
        if name in CALIBRATED:
            names = [value.get_any_name() for value in found.inputs]
            found = ir.quantise_ir(found, _of(names, self.calibration))
        ir.save_ir(found, file, half=kind == "bf16")
        counted = ir.count_ir_products(file)
        weighted, _ = expected(self.model.config, self.model.task)
        proof.all_products(
            file, counted, (weighted, weighted), 0 if name in CALIBRATED else weighted
        )
        size = file.stat().st_size + file.with_suffix(".bin").stat().st_size
        session = open_session(file, kind=kind)
        return ExportCandidate(
            name=name,
            file=file.name,
            backend="openvino",
            kind=kind,
            bytes=size,
            int8_products=counted[0],
            products=counted[1],
            parity=proof.logit_difference(session, self.model, self.windows),
            stable=proof.stable(file, self.windows, kind=kind),
        )

    def _scored(self, found: ExportCandidate, folder: Path) -> ExportCandidate:
        """The candidate with its dev score; raises ModelError when that is too far below torch's."""
        if self.score is None or self.reference is None:
            return found
        score = self.score(open_session(folder / found.file, kind=found.kind))
        drop = self.reference - score
        if drop > self.max_drop:
            raise ModelError(
                f"{found.name} scores {score:.4f} on dev, {drop:.4f} less than torch; --max-drop allows {self.max_drop}. "
                "The export is refused: --auto-keep keeps the products that cost the score in fp32"
            )
        return replace(found, score=score, drop=drop)


def _of(names: Sequence[str], windows: Sequence[Window]) -> list[dict[str, np.ndarray]]:
    """The inputs of these names on each window."""
    return [
        {name: value for name, value in feeds(*window).items() if name in names}
        for window in windows
    ]
