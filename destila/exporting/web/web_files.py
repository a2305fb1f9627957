"""What an exported folder needs beside its model to run in a browser.

    index.html, page.css, page.js   a page to try the model; answers.js shows what it says
    destila.js                      `load(url).predict(text)`: the answers of `destila predict`
    web.json                        what destila.js must know: task, labels, specials, windows
    runtime/                        onnxruntime-web and tokenizers, see `npm_runtime.py`

Any server of static files can offer the folder; the page asks no other host.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from destila.errors import ConfigError
from destila.files import write_json
from destila.inference.answer_page import page_files
from destila.inference.exported import GRAPH
from destila.inference.predictor import RuntimePredictor
from destila.tasks.metrics import is_bio
from destila.tasks.span.decoders import LONGEST
from destila.tasks.span.windows import window_size

OURS = ("index.html", "page.js", "destila.js")


def write_web(folder: Path, runtime: dict[str, bytes]) -> None:
    """Write the files of a web export into a complete exported folder.

    Args:
        folder: of the export, which runs `model.onnx`.
        runtime: files of the libraries, by name.

    Raises:
        ConfigError: the model cannot run in a browser.
    """
    predictor = RuntimePredictor(folder, threads=1)
    write_json(folder / "web.json", describe_web(predictor))

    for name, content in page_files("destila.exporting.web", OURS).items():
        (folder / name).write_bytes(content)
    (folder / "runtime").mkdir()
    for name, content in runtime.items():
        (folder / "runtime" / name).write_bytes(content)


def describe_web(predictor: RuntimePredictor) -> dict[str, Any]:
    """Return what destila.js must know of a model.

    Raises:
        ConfigError: the graph is not ONNX's, or answers are found in another way than ours.
    """
    if predictor.choice.file.name != GRAPH:
        raise ConfigError(
            "the browser runs ONNX graphs: give an onnxruntime kind, as --kinds web,int8-dynamic"
        )
    task = predictor.task
    about: dict[str, Any] = {
        "task": task.name,
        "labels": list(predictor.labels),
        "max_length": predictor.max_length,
        "entities": is_bio(predictor.labels),
        **predictor.tokenizer.reading(),
    }
    if not task.in_browser:
        raise ConfigError(f"the browser does not know the task '{task.name}'")
    if task.asks_questions:
        about["span"] = _span(predictor)
    return about


def _span(predictor: RuntimePredictor) -> dict[str, Any]:
    """Return how contexts are read and answers found."""
    options = predictor.task.options  # type: ignore[attr-defined]
    if options.decoder != "destila":
        raise ConfigError(
            f"the browser finds answers by span.decoder = 'destila', not '{options.decoder}'"
        )
    window, stride = window_size(predictor.max_length, options)
    return {
        "window": window,
        "stride": stride,
        "max_answer": options.max_answer or LONGEST["destila"],
        "null_threshold": options.null_threshold,
    }
