"""The files an export can hold, each built, saved, read again and proven.

fp32                 onnxruntime, what the others are compared with
int8-dynamic         onnxruntime, activations scaled per text
int8-static          onnxruntime, activations scaled once, on calibration texts
int8-weights         onnxruntime, weights stored in 8 bits and computed in fp32: small, not faster
openvino-bf16        OpenVINO, computed in bfloat16
openvino-int8        OpenVINO, quantised by NNCF on calibration texts
openvino-int8-bf16   the same, and what is not int8 computed in bfloat16: faster on long texts
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx

from destila import cpu
from destila.errors import ModelError
from destila.exporting import int8, proof
from destila.exporting import onnx as graphs
from destila.exporting import openvino as ir
from destila.exporting.calibration import Calibration, open_graph
from destila.exporting.count import bytes_formula, count_products, expected
from destila.exporting.kinds import CALIBRATED, CANDIDATES, COMPUTED_AS_FP32, CandidateName
from destila.exporting.sensitivity import Effect, GraphScore, keep_needed, sensitivity
from destila.exporting.smoothing import UNEVEN
from destila.inference.session import TokenWindow, feeds, open_session
from destila.measuring import machine
from destila.measuring.sample_texts import spread
from destila.model_folder import read_folder
from destila.models.heads import Model
from destila.models.hf import Loaded
from destila.tasks import task_of_folder
from destila.types import Example

WindowScore = Callable[[Callable[[dict[str, np.ndarray]], np.ndarray]], float]
"""The main dev score of a function from the inputs of one window to its logits."""

_PROOFS, _CALIBRATIONS = 64, 128
"""Texts on which answers are compared, and from which fixed scales are taken."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DevScore:
    """How an export is judged on a study's dev split.

    Args:
        whole: the score over all of dev.
        sample: the score over some of dev, for judging single products: there are dozens of them.
        reference: torch's score.
        max_drop: the most that a candidate's score may be below it.
    """

    whole: WindowScore
    sample: WindowScore
    reference: float
    max_drop: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportCandidate:
    """One file of an export and what was proven of it; export.json lists these.

    Args:
        name: "int8-dynamic".
        file: "model.onnx", inside the export's folder.
        backend: "onnxruntime" or "openvino".
        kind: "int8-dynamic", what `open_session` is told.
        bytes: 5_811_404, of all its files.
        int8_products: 26, of the products below.
        products: 34, of weights or activations with activations.
        parity: 0.03, the largest difference of the logits from torch's, relative to the largest.
        stable: a text's answer has the same bits on 1 or 2 threads, in any order and company.
        kept_fp32: ("layer.0.up",), products that were left in fp32.
        score: 0.81 on dev; None without a recipe.
        drop: 0.002, how far that is below torch's; None without a recipe.
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
        """Return the object of export.json."""
        return {**asdict(self), "kept_fp32": list(self.kept_fp32)}

    def notes(self) -> list[str]:
        """Return what the model card says about this file."""
        products = f"{self.int8_products} of {self.products} matrix products in int8"
        if self.kind == "int8-weights":
            products = "weights stored in int8, computed in fp32"
        code, threads = machine.code_version(), cpu.threads()
        notes = [
            f"{self.name}: {products}, {self.bytes:,} bytes.",
            f"Checked when exported, with destila {code} on {threads} threads.",
        ]
        if self.drop is not None:
            notes.append(
                f"Main dev score {self.score:.4f}, {self.drop:.4f} less than the model it was made "
                "from has."
            )
        return notes


def builder_of(
    loaded: Loaded,
    source: Path,
    *,
    texts: Sequence[Example],
    training: Sequence[Example],
    dev: DevScore | None,
) -> CandidateBuilder:
    """Return the builder for a loaded model.

    Args:
        loaded: the model.
        source: its folder, which says how long its windows are.
        texts: what it will read; answers are compared on some of them, beside random windows.
        training: what fixed scales are taken from; empty: no candidate that needs them.
        dev: how scores are judged; None: not at all.
    """
    windows = _windows(loaded, source, texts, _PROOFS)
    calibration = _windows(loaded, source, training, _CALIBRATIONS)
    return CandidateBuilder(loaded.model, windows, calibration, dev)


class CandidateBuilder:
    """Builds the candidates of one model.

    Args:
        model: in evaluation mode.
        texts: windows of real texts that answers are compared on, beside random ones.
        calibration: windows of training text, for even channels and for fixed scales.
        dev: how scores are judged; None without a recipe.
        uneven: which activations are evened out, see `smoothing.UNEVEN`.
    """

    def __init__(
        self,
        model: Model,
        texts: Sequence[TokenWindow],
        calibration: Sequence[TokenWindow] = (),
        dev: DevScore | None = None,
        uneven: float = UNEVEN,
    ) -> None:
        self.model, self.calibration, self.dev = model, calibration, dev
        self._uneven = uneven
        self.windows = [*proof.random_windows(model), *texts]
        self.texts = list(texts) or self.windows
        self.graph = graphs.build_onnx(model, mask=False)  # fp32, for unpadded texts
        self._calibration = Calibration(self.graph, self._feeds(self.calibration))

    def possible(self) -> list[CandidateName]:
        """Return what can be the fastest here: installed, with texts to calibrate on if needed."""
        installed = all(importlib.util.find_spec(name) is not None for name in ("openvino", "nncf"))
        names = [name for name in CANDIDATES if installed or not name.startswith("openvino")]
        names.remove("int8-weights")  # as fast as fp32
        return [name for name in names if self.calibration or name not in CALIBRATED]

    def build(
        self, name: CandidateName, folder: Path, keep: frozenset[str] = frozenset()
    ) -> ExportCandidate:
        """Return one candidate, saved as `model.<name>.onnx` or `.xml` and proven.

        Args:
            name: of the candidate.
            folder: where its files go.
            keep: products that stay in fp32.

        Raises:
            ModelError: the file is not what it should be, or its score drops too far.
        """
        if name in CALIBRATED and not self.calibration:
            raise ModelError(f"{name} takes its scales from texts: give --texts or --recipe")

        if name.startswith("openvino"):
            return self._scored(self._openvino(name, folder), folder)
        return self._scored(self._onnx(name, folder, keep), folder)

    def quantised(self, name: CandidateName, keep: frozenset[str] = frozenset()) -> onnx.ModelProto:
        """Return the int8 graph of a candidate."""
        known = self._calibration
        return int8.quantise(
            self.graph, kind=_scaling(name), keep=keep, calibration=known, uneven=self._uneven
        )

    def effects(self, name: str) -> list[Effect]:
        """Return what each group of products alone costs in 8 bits, the most harmful first.

        Args:
            name: the candidate whose int8 is judged. OpenVINO's graphs are others, so int8-dynamic
                is judged in their place.
        """
        assert self.dev is not None, "products are judged by the dev score"
        return sensitivity(
            self.graph,
            on_graphs(self.dev.sample),
            kind=_scaling(name),
            calibration=self._calibration,
            windows=self._feeds(self.windows),
        )

    def products_to_keep(self, name: CandidateName) -> frozenset[str]:
        """Return the products that must stay in fp32 for the dev score to hold; most often none.

        Single products are judged on a sample of dev, the choice on all of it.
        """
        if self.dev is None or not name.startswith("int8"):
            return frozenset()
        # Most often the whole of int8 is good enough.
        whole = on_graphs(self.dev.whole)
        if whole(self.graph) - whole(self.quantised(name)) <= self.dev.max_drop:
            return frozenset()

        # Else the fewest products, the most harmful first.
        return keep_needed(
            self.graph,
            whole,
            self.dev.max_drop,
            kind=_scaling(name),
            calibration=self._calibration,
            effects=self.effects(name),
        )

    def _onnx(self, name: CandidateName, folder: Path, keep: frozenset[str]) -> ExportCandidate:
        file = folder / f"model.{name}.onnx"
        exact, config, task = name == "fp32", self.model.config, self.model.task
        onnx.save(self.graph if exact else self.quantised(name, keep), str(file))

        # Its products are those of the architecture, in 8 bits but for those that are kept.
        counted = count_products(file)
        all_kept = name in COMPUTED_AS_FP32
        kept = int8.products(self.graph) if all_kept else keep - {"embeddings"}
        proof.all_products(file, counted, expected(config, task), len(kept))

        # Every weight is stored once.
        size = file.stat().st_size
        formula = bytes_formula(config, task, "fp32" if exact else "int8", len(self.model.labels))
        proof.right_size(file, size, formula + (0 if exact else self._extra_bytes(keep)))

        # Its answers are torch's: to rounding in fp32, and stable in any case.
        session = open_session(file)
        compare = proof.same_answers if exact else proof.logit_difference
        return ExportCandidate(
            name=name,
            file=file.name,
            backend="onnxruntime",
            kind=name,
            bytes=size,
            int8_products=counted[0],
            products=counted[1],
            parity=compare(session, self.model, self.windows),
            stable=proof.stable(file, self.windows, kind=name),
            kept_fp32=tuple(sorted(keep)),
        )

    def _openvino(self, name: CandidateName, folder: Path) -> ExportCandidate:
        file = folder / f"model.{name}.xml"
        kind = name.removeprefix("openvino-")
        converted = ir.build_openvino(self.model)
        if name in CALIBRATED:
            inputs = [value.get_any_name() for value in converted.inputs]
            converted = ir.quantise_ir(converted, _of(inputs, self.calibration))
        ir.save_ir(converted, file, half=kind == "bf16")

        # All products with weights are int8, or none; those of activations are not counted.
        counted = ir.count_ir_products(file)
        weighted, _ = expected(self.model.config, self.model.task)
        kept = 0 if name in CALIBRATED else weighted
        proof.all_products(file, counted, (weighted, weighted), kept)

        session = open_session(file, kind=kind)
        return ExportCandidate(
            name=name,
            file=file.name,
            backend="openvino",
            kind=kind,
            bytes=file.stat().st_size + file.with_suffix(".bin").stat().st_size,
            int8_products=counted[0],
            products=counted[1],
            parity=proof.logit_difference(session, self.model, self.windows),
            stable=proof.stable(file, self.windows, kind=kind),
        )

    def _scored(self, candidate: ExportCandidate, folder: Path) -> ExportCandidate:
        """Return the candidate with its dev score; raise ModelError when that drops too far."""
        if self.dev is None:
            return candidate

        score = self.dev.whole(open_session(folder / candidate.file, kind=candidate.kind))
        drop = self.dev.reference - score
        if drop > self.dev.max_drop:
            raise ModelError(
                f"{candidate.name} scores {score:.4f} on dev, {drop:.4f} less than torch; "
                f"--max-drop allows {self.dev.max_drop}. The export is refused: --auto-keep keeps "
                "the products that cost the score in fp32"
            )
        return replace(candidate, score=score, drop=drop)

    def _extra_bytes(self, keep: frozenset[str]) -> int:
        """Return the bytes that weights kept in fp32 add to an int8 file.

        4 a value, of which 1 is saved where no product uses them in int8.
        """
        sizes = {tensor.name: int(np.prod(tensor.dims)) for tensor in self.graph.graph.initializer}

        # The products that use each weight: a shared block's weights serve every layer.
        users: dict[str, set[str]] = {}
        for node in self.graph.graph.node:
            if node.op_type == "MatMul" and node.input[1] in sizes:
                users.setdefault(node.input[1], set()).add(node.name)

        # A weight that int8 products use too is stored twice: 4 bytes more, not 3.
        extra = 0
        for weight, products in users.items():
            if products & keep:
                extra += (3 if products <= keep else 4) * sizes[weight]
        if "embeddings" in keep:
            extra += 3 * sum(sizes[table] for table in int8.TABLES)
        return extra

    def _feeds(self, windows: Sequence[TokenWindow]) -> list[dict[str, np.ndarray]]:
        """Return the inputs of the fp32 graph on each window."""
        return _of([value.name for value in self.graph.graph.input], windows)


def on_graphs(score: WindowScore) -> GraphScore:
    """Return a score of graphs in memory."""

    def score_graph(proto: onnx.ModelProto) -> float:
        session = open_graph(proto)
        names = [value.name for value in session.get_inputs()]
        return score(lambda feeds: session.run(None, {name: feeds[name] for name in names})[0])

    return score_graph


def _scaling(name: str) -> int8.QuantKind:
    """Return how activations are scaled in an onnxruntime candidate."""
    scalings: dict[str, int8.QuantKind] = {"int8-static": "static", "int8-weights": "weights"}
    return scalings.get(name, "dynamic")


def _of(names: Sequence[str], windows: Sequence[TokenWindow]) -> list[dict[str, np.ndarray]]:
    """Return the inputs of these names on each window."""
    every = [feeds(*window) for window in windows]
    return [{name: inputs[name] for name in inputs if name in names} for inputs in every]


def _windows(
    loaded: Loaded, source: Path, examples: Sequence[Example], count: int
) -> list[TokenWindow]:
    """Return up to `count` windows, spread over the examples, as the model will read them."""
    if not examples:
        return []
    info = read_folder(source)
    longest = int(info.extra.get("max_length", loaded.max_length))

    plain = [Example(e.id, e.text, e.pair, e.words) for e in spread(examples, count)]
    encoded = task_of_folder(info).encode(
        plain, loaded.tokenizer, loaded.model.labels, max_length=longest
    )
    return [(window.input_ids, window.type_ids) for window in spread(encoded.features, count)]
