"""The contestants of `benchmarks/inference.py`: one model, opened by transformers, onnxruntime and OpenVINO, and by us.

Peers get what an expert gives them: the exporter's graph pre-processed and quantised per channel;
OpenVINO with its latency hint, bf16, and int8 calibrated by NNCF on the same sentences, inputs and
outputs shared with it. Ours is the runtime that users get, `destila.inference.session`.
"""

from __future__ import annotations

import contextlib
import importlib.util
import logging
import os
import warnings
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import torch
from onnxruntime.quantization import QuantType, quantize_dynamic
from onnxruntime.quantization.shape_inference import quant_pre_process
from transformers import AutoModelForSequenceClassification, AutoModelForTokenClassification

from destila.exporting import int8
from destila.exporting import onnx as exporter
from destila.exporting import openvino as ir
from destila.exporting.calibration import Calibration
from destila.inference.session import feeds, open_session
from destila.models import store
from destila.models.heads import Model
from destila.tokenizer.tokenizer import Tokenizer

Run = Callable[[np.ndarray], np.ndarray]
"""Logits of one text's ids, i64 [1, L]."""


class _Traced(torch.nn.Module):
    """A transformers model as the exporters want it: tensors in, one tensor out."""

    def __init__(self, model: torch.nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
        """Logits."""
        return self.model(input_ids=input_ids, attention_mask=attention_mask).logits


def contestants(
    model: Model,
    tokenizer: Tokenizer,
    folder: Path,
    *,
    threads: int,
    calibration: Sequence[np.ndarray],
) -> dict[str, Run]:
    """Every contestant that is installed, by name; files are written to folder. calibration: ids [1, L] of texts."""
    with quiet():
        theirs = transformers_model(model, tokenizer, folder / "transformers")
        plain, prepared, expert = (
            folder / f"{name}.onnx" for name in ("plain", "prepared", "expert")
        )
        _export(theirs, plain)
        quant_pre_process(plain, prepared, skip_symbolic_shape=True)
        quantize_dynamic(prepared, expert, per_channel=True, weight_type=QuantType.QInt8)
        found: dict[str, Run] = {
            "pytorch": lambda ids: run_torch(theirs, ids),
            "onnxruntime fp32": open_graph(plain, threads),
            "onnxruntime int8 expert": open_graph(expert, threads),
        }
        found |= _openvino(_Traced(theirs), threads, calibration)
        found |= ours(model, folder, threads=threads, calibration=calibration)
    return found


def transformers_model(model: Model, tokenizer: Tokenizer, folder: Path) -> torch.nn.Module:
    """The same weights as a transformers model in its defaults."""
    store.save_model(model, tokenizer, folder)
    classes = (
        AutoModelForSequenceClassification
        if model.task == "classify"
        else AutoModelForTokenClassification
    )
    return classes.from_pretrained(folder).eval()


def ours(
    model: Model, folder: Path, *, threads: int, calibration: Sequence[np.ndarray]
) -> dict[str, Run]:
    """What `destila export` offers for single texts."""
    plain = exporter.build_onnx(model, mask=False, types=False)
    texts = [{"input_ids": ids} for ids in calibration]
    graphs = {
        "destila fp32": plain,
        "destila int8": int8.quantise(plain, kind="dynamic"),
        "destila int8 static": int8.quantise(
            plain, kind="static", calibration=Calibration(plain, texts)
        ),
    }
    found = {}
    for name, graph in graphs.items():
        path = folder / f"{name.replace(' ', '-')}.onnx"
        path.write_bytes(graph.SerializeToString())
        found[name] = opened(path, threads)
    return found | _our_openvino(model, folder, threads, calibration)


def opened(path: Path, threads: int, kind: str = "") -> Run:
    """An exported file in the runtime that users get."""
    session = open_session(path, threads=threads, kind=kind)

    def run(ids: np.ndarray) -> np.ndarray:
        return session(feeds(ids[0], np.zeros_like(ids[0])))

    return run


def _our_openvino(
    model: Model, folder: Path, threads: int, calibration: Sequence[np.ndarray]
) -> dict[str, Run]:
    if importlib.util.find_spec("openvino") is None:
        return {}
    names = [value.any_name for value in ir.build_openvino(model).inputs]
    texts = [
        {n: v for n, v in feeds(ids[0], np.zeros_like(ids[0])).items() if n in names}
        for ids in calibration
    ]
    for name, graph in (
        ("bf16", ir.build_openvino(model)),
        ("int8", ir.quantise_ir(ir.build_openvino(model), texts)),
    ):
        ir.save_ir(graph, folder / f"{name}.xml", half=name == "bf16")
    files = {"bf16": "bf16", "int8": "int8", "int8 bf16": "int8"}
    return {
        f"destila openvino {name}": opened(folder / f"{file}.xml", threads, name)
        for name, file in files.items()
    }


def _export(model: torch.nn.Module, path: Path) -> None:
    ids = torch.ones((1, 32), dtype=torch.int64)
    axes = {0: "B", 1: "L"}
    names = ["input_ids", "attention_mask"]
    torch.onnx.export(
        _Traced(model),
        (ids, ids),
        str(path),
        input_names=names,
        output_names=["logits"],
        dynamic_axes=dict.fromkeys(names, axes),
        opset_version=17,
        dynamo=False,
    )


@torch.inference_mode()
def run_torch(model: torch.nn.Module, ids: np.ndarray) -> np.ndarray:
    """Logits of a transformers model."""
    values = torch.from_numpy(ids)
    return model(input_ids=values, attention_mask=torch.ones_like(values)).logits.numpy()


def open_graph(path: Path, threads: int) -> Run:
    """An ONNX file in onnxruntime; threads wait as they do by default, for peers and in `destila.inference` alike."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    masked = "attention_mask" in {value.name for value in session.get_inputs()}

    def run(ids: np.ndarray) -> np.ndarray:
        feeds = (
            {"input_ids": ids, "attention_mask": np.ones_like(ids)}
            if masked
            else {"input_ids": ids}
        )
        return session.run(None, feeds)[0]

    return run


def _openvino(
    model: torch.nn.Module, threads: int, calibration: Sequence[np.ndarray]
) -> dict[str, Run]:
    """bf16, int8 with the rest in fp32, and int8 with the rest in bf16; nothing where OpenVINO is not installed."""
    if importlib.util.find_spec("openvino") is None:
        return {}
    import openvino

    def convert() -> Any:
        example = {
            name: torch.ones((2, 160), dtype=torch.int64)
            for name in ("input_ids", "attention_mask")
        }
        return openvino.convert_model(
            model, example_input=example, input=[(name, [-1, -1]) for name in example]
        )

    core = openvino.Core()
    common = {"PERFORMANCE_HINT": "LATENCY", "INFERENCE_NUM_THREADS": threads, "NUM_STREAMS": 1}

    def masked(ids: np.ndarray) -> dict[str, np.ndarray]:
        return {"input_ids": ids, "attention_mask": np.ones_like(ids)}

    def opened(graph: Any, precision: str) -> Run:
        options = {**common, "INFERENCE_PRECISION_HINT": precision}
        request = core.compile_model(graph, "CPU", options).create_infer_request()
        return lambda ids: request.infer(masked(ids), share_inputs=True, share_outputs=True)[0]

    small = ir.quantise_ir(convert(), [masked(ids) for ids in calibration])
    return {
        "openvino bf16": opened(convert(), "bf16"),
        "openvino int8": opened(small, "f32"),
        "openvino int8 bf16": opened(small, "bf16"),
    }


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Exporters and quantisers write to standard output, which is for the result."""
    logging.disable(logging.WARNING)
    with (
        Path(os.devnull).open("w") as nowhere,
        contextlib.redirect_stdout(nowhere),
        warnings.catch_warnings(),
    ):
        warnings.simplefilter("ignore")
        yield
    logging.disable(logging.NOTSET)
