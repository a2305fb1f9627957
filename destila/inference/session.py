"""An exported graph, opened: a function from token ids to logits, in onnxruntime or OpenVINO.

One graph serves in two ways. Alone (`callers` = 1), a call uses all the threads, for the shortest
time of one text. Shared by as many callers as there are threads, each call keeps to the thread that
makes it (both libraries let other Python threads go on meanwhile), for the most texts per second.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from destila.errors import ModelError, require

INPUTS = ("input_ids", "mask", "type_ids")
"""What a graph may ask for, int64 [B, L] each: ids, 1 for real tokens, token types."""

Feeds = Mapping[str, np.ndarray]

TokenWindow = tuple[np.ndarray, np.ndarray]
"""Token ids and token types of one call, [L] each."""


@dataclass(frozen=True, slots=True)
class Session:
    """An open graph, to be called with int64 arrays [B, L] under the names of INPUTS.

    Args:
        file: the graph.
        backend: the library that runs it.
        inputs: the names that it asks for; more than these is left out.
        shape: of its logits, None where it is not fixed.
    """

    file: Path
    backend: str
    inputs: tuple[str, ...]
    shape: tuple[int | None, ...]
    _run: Callable[[dict[str, np.ndarray]], np.ndarray]

    def __call__(self, feeds: Feeds) -> np.ndarray:
        """Return logits f32 [B, C] or [B, L, C].

        Raises:
            ModelError: the graph cannot take the feeds.
        """
        missing = [name for name in self.inputs if name not in feeds]
        if missing:
            raise ModelError(
                f"{self.file} needs the input {', '.join(missing)}, which was not given"
            )

        chosen = {name: feeds[name] for name in self.inputs}
        try:
            return self._run(chosen)
        except Exception as error:  # neither library raises anything narrower
            raise ModelError(
                f"{self.file} cannot read these ids (up to "
                f"{int(chosen['input_ids'].max(initial=0))}, {chosen['input_ids'].shape[-1]} "
                f"tokens): is the tokenizer its own? {_first_line(error)}"
            ) from error


def feeds(input_ids: np.ndarray, type_ids: np.ndarray) -> dict[str, np.ndarray]:
    """Return the inputs of one unpadded call, int64 [1, L], from ids and types [L]."""
    ids = np.asarray(input_ids, np.int64)[None]  # [1, L]
    types = np.asarray(type_ids, np.int64)[None]  # [1, L]
    return {"input_ids": ids, "mask": np.ones_like(ids), "type_ids": types}


def open_session(
    file: Path | str, *, threads: int = 1, callers: int = 1, kind: str = ""
) -> Session:
    """Return the Session of a graph: a `.onnx` file in onnxruntime, an `.xml` file in OpenVINO.

    Args:
        file: the graph.
        threads: used in all, at least 1.
        callers: how many of our threads call it at once.
        kind: one that ends in "bf16" computes in bfloat16 (OpenVINO).

    Raises:
        ModelError: the file is missing, damaged, too new for the library, or no encoder of ours.
        MissingExtraError: OpenVINO is not installed.
    """
    file = Path(file)
    if not file.is_file():
        raise ModelError(f"no graph at {file}: 'destila export' writes it")

    if file.suffix == ".xml":
        return _checked(_openvino(file, threads, callers, kind))
    return _checked(_onnxruntime(file, threads, callers))


def _checked(session: Session) -> Session:
    """Return the session; raise ModelError when it is no encoder of ours."""
    unknown = [name for name in session.inputs if name not in INPUTS]
    axes = len(session.shape)
    if unknown or "input_ids" not in session.inputs or axes not in (2, 3):
        raise ModelError(
            f"{session.file} is no graph of 'destila export': it asks for "
            f"{', '.join(session.inputs) or 'nothing'} and answers with {axes} axes; known are "
            f"{', '.join(INPUTS)}, answered with 2 or 3"
        )
    return session


def _onnxruntime(file: Path, threads: int, callers: int) -> Session:
    import onnxruntime  # not for those who only import

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1 if callers > 1 else threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 4
    options.enable_mem_pattern = False  # it remembers every length, and every text has its own
    options.enable_cpu_mem_arena = callers == 1  # several threads would wait for its one lock
    try:
        opened = onnxruntime.InferenceSession(
            str(file), options, providers=["CPUExecutionProvider"]
        )
    except Exception as error:  # the library raises nothing narrower
        raise ModelError(
            _refusal(file, str(error), f"onnxruntime {onnxruntime.__version__}")
        ) from error

    # A graph of ours has one output; `_checked` refuses others by their shape.
    outputs = opened.get_outputs()
    names = [outputs[0].name] if outputs else []
    shape = outputs[0].shape if len(outputs) == 1 else []

    def run(feeds: dict[str, np.ndarray]) -> np.ndarray:
        logits: np.ndarray = opened.run(names, feeds)[0]
        return logits

    inputs = tuple(value.name for value in opened.get_inputs())
    return Session(file, "onnxruntime", inputs, _fixed(shape), run)


def _openvino(file: Path, threads: int, callers: int, kind: str) -> Session:
    openvino = require("openvino", "openvino")
    settings = {
        "INFERENCE_NUM_THREADS": threads,
        "NUM_STREAMS": callers,
        "INFERENCE_PRECISION_HINT": "bf16" if kind.endswith("bf16") else "f32",
    }
    try:
        compiled = openvino.Core().compile_model(str(file), "CPU", settings)
    except RuntimeError as error:
        library = f"OpenVINO {openvino.__version__}"
        raise ModelError(_refusal(file, str(error), library)) from error

    own = threading.local()  # a request belongs to one caller at a time

    def run(feeds: dict[str, np.ndarray]) -> np.ndarray:
        if not hasattr(own, "request"):
            own.request = compiled.create_infer_request()

        # Not infer(feeds): its copies and checks take a share of a short text's time. Inputs are
        # read where they lie, so they are held until the answer is there.
        held = {name: np.ascontiguousarray(value) for name, value in feeds.items()}
        for name, value in held.items():
            own.request.set_tensor(name, openvino.Tensor(value, shared_memory=True))
        own.request.start_async()
        own.request.wait()
        return np.array(own.request.get_output_tensor(0).data, np.float32)

    axes = compiled.outputs[0].get_partial_shape()
    shape = [axis.get_length() if axis.is_static else None for axis in axes]
    inputs = tuple(value.get_any_name() for value in compiled.inputs)
    return Session(file, "openvino", inputs, _fixed(shape), run)


def _fixed(shape: list[Any]) -> tuple[int | None, ...]:
    return tuple(size if isinstance(size, int) else None for size in shape)


def _refusal(file: Path, message: str, library: str) -> str:
    """Return what to do about a graph that a library refuses, by the words it uses."""
    words = message.lower()
    newer = ("opset", "ir_version", "ir version", "model_load_utils")
    unknown = ("not a registered", "not implemented", "unsupported operation")

    if any(word in words for word in newer):
        return (
            f"{file} is written in a version of ONNX that {library} does not read: update it, or "
            "export again"
        )
    reason = _first_line(message)
    if any(word in words for word in unknown):
        return (
            f"{file} has an operator that {library} does not know ({reason}): update it, or export "
            "again"
        )
    return f"{file} is damaged or incomplete ({library}: {reason}): copy it or export again"


def _first_line(error: object) -> str:
    lines = str(error).strip().splitlines()
    return lines[0].rpartition(": ")[2][:200] if lines else type(error).__name__
