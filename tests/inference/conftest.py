"""Exported folders of models that nobody trained."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path

import onnx
import pytest

from destila.model_folder import SPAN_LABELS
from destila.tokenizer.tokenizer import Tokenizer

KINDS = ("int8-dynamic", "fp32")
LABELS = {
    "classify": ("no", "sí"),
    "pair": ("no", "sí"),
    "tag": ("O", "B-PER", "I-PER", "B-LOC", "I-LOC"),
    "span": SPAN_LABELS,
}


def export_untrained(
    place: Path, tokenizer: Tokenizer, task: str, *, default: str = "int8-dynamic", **shape
) -> Path:
    """Make `torch/` (weights) and `exported/` (graphs, int8 the default) of a random model; return the second."""
    from destila.exporting import int8
    from destila.exporting import onnx as fp32
    from destila.models import hf, store

    config = {
        "kind": "albert",
        "layers": 2,
        "hidden": 32,
        "heads": 2,
        "positions": 64,
        "init_range": 0.3,
    } | shape
    family = "classify" if task == "pair" else task
    model = hf.load(
        config, tokenizer=tokenizer, task=family, labels=LABELS[task], seed=1
    ).model.eval()
    folder = place / "exported"
    for each in (place / "torch", folder):
        store.save_model(model, tokenizer, each, extra={"max_length": 32})
    (folder / "model.safetensors").unlink()
    proto = fp32.build_onnx(model, mask=False)
    graphs = {"int8-dynamic": int8.quantise(proto, kind="dynamic"), "fp32": proto}
    if default == "int8-weights":
        graphs[default] = int8.quantise(proto, kind="weights")
    candidates = []
    for kind, graph in graphs.items():
        file = "model.onnx" if kind == default else f"model.{kind}.onnx"
        onnx.save(graph, str(folder / file))
        candidates.append({"name": kind, "file": file, "backend": "onnxruntime", "kind": kind})
    (folder / "export.json").write_text(json.dumps({"default": default, "candidates": candidates}))
    return folder


@pytest.fixture
def exported(tmp_path, bpe) -> Callable[..., Path]:
    """Exports a random model into the test's folder: `exported("tag")`."""
    return partial(export_untrained, tmp_path, bpe)


@pytest.fixture
def asked(lines) -> Callable[[str], list]:
    """What may be labelled in a task: texts, pairs or questions of many lengths, 60 of them."""

    def make(task: str) -> list:
        texts = [
            " ".join(lines[i % 22].split()[: 1 + i % 9] + lines[(5 * i) % 22].split()[: i % 7])
            for i in range(60)
        ]
        if task == "pair":
            return [{"text": a, "pair": b} for a, b in zip(texts, reversed(texts), strict=True)]
        if task == "span":
            return [
                {"question": " ".join(a.split()[:4]), "context": b}
                for a, b in zip(texts, reversed(texts), strict=True)
            ]
        return list(texts)

    return make
