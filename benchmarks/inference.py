"""Latency of one text at a time: the exported int8 model against PyTorch, onnxruntime and OpenVINO, and the limit.

Bars of the issue "Fast on ordinary hardware", in one run: ratios of medians, batch 1, the same
threads for all. Every contestant of a preset holds the same weights and reads the same token ids:
CoNLL-2002 test sentences, joined and cut to exactly 32, 128 and 512 tokens, with its library's own
defaults for how threads wait. Contestants take turns A B C A B C, and each turn is the same for
all:

rest       onnxruntime's threads spin for up to 35 ms after a call (processor time of a sleep,
measured); a contestant
           that starts while those of the one before still do has one processor less
warm-up    not timed: threads asleep, and a cache that holds another model's weights. A model of a
millisecond needs
           some tens of calls for it, one is not enough (tiny at 32 tokens was timed a quarter too
           slow)
timed      calls that fill a fixed time, and no fewer than a large model needs for a median: the
steady state of small
           models too, which is what a stream of texts meets

The weights are random with the shape of the published model, since those are not part of this
project: every block normalises its states, so values keep their usual range, and the work does not
depend on them. The scores that int8 costs are measured by `destila export` on trained models, not
here.

    python benchmarks/inference.py [--quick] [--threads 2] [--turns 15] [--presets
    albeto-tiny,albeto-base-6]
                                   [--lengths 32,128,512] [--task tag] [--clock wall] [--json FILE]
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import inference_peers as peers
import numpy as np
import torch
from inference_bars import BETO, bars
from onnx import TensorProto, helper, numpy_helper

from destila import plugins
from destila.exporting import count, int8, proof
from destila.exporting import onnx as exporter
from destila.exporting.calibration import open_graph
from destila.measuring import machine
from destila.models import heads
from destila.models.architecture import EncoderConfig
from destila.models.presets import PRESETS
from destila.tasks.tag import TASK
from destila.tokenizer import tokenizer as tokenizers
from destila.tokenizer.tokenizer import Tokenizer
from destila.types import Dataset, Example

SENTENCES = 100  # both papers time the first hundred test sentences
REST = 0.1  # seconds of sleep before a turn, see above
WARM = 0.03  # seconds of calls, one at least, that are not timed
TIMED = 0.1  # seconds of calls that are timed
LEAST = 5  # of those, however long they take
ROWS = 12  # different inputs of each length
PEAK = 2048  # side of the square product that measures the machine

Times = dict[str, np.ndarray]
Clock = Callable[[], float]
CLOCKS: dict[str, Clock] = {"wall": time.perf_counter, "cpu": time.process_time}


def in_turns(calls: Mapping[str, Callable[[int], object]], turns: int, clock: Clock) -> Times:
    """Milliseconds of each contestant's timed calls, of all its turns; a call gets the number of its input."""
    found: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(turns):
        for name, call in calls.items():
            time.sleep(REST)
            _filled(call, WARM, 1, clock)
            found[name] += _filled(call, TIMED, LEAST, clock)
    return {name: np.array(values) for name, values in found.items()}


def _filled(call: Callable[[int], object], seconds: float, least: int, clock: Clock) -> list[float]:
    """Milliseconds of calls, one after another until they fill the time, and at least so many."""
    found: list[float] = []
    before = begin = clock()
    while len(found) < least or before - begin < seconds:
        call(len(found))
        after = clock()
        found.append((after - before) * 1000)
        before = after
    return found


def inputs(dataset: Dataset, tokenizer: Tokenizer, length: int) -> list[np.ndarray]:
    """ROWS inputs [1, length] of real sentences, one behind the other between the first and the last special token."""
    features = TASK.encode(
        dataset.splits["test"], tokenizer, dataset.labels, max_length=512
    ).features
    first, last = features[0].input_ids[0], features[0].input_ids[-1]
    stream = np.concatenate([f.input_ids[1:-1] for f in features])
    rows = []
    for row in range(ROWS):
        start = row * (length - 2) % (len(stream) - length)
        rows.append(np.array([[first, *stream[start : start + length - 2], last]], np.int64))
    return rows


def peak_gops(threads: int, clock: Clock) -> float:
    """Billions of int8 operations per second of a large product, two for each multiply-accumulate; best of 30."""
    weight = np.random.default_rng(0).integers(-127, 128, (PEAK, PEAK)).astype(np.int8)
    node = helper.make_node("MatMulInteger", ["x", "weight"], ["y"])
    graph = helper.make_graph(
        [node],
        "peak",
        [helper.make_tensor_value_info("x", TensorProto.UINT8, ["L", PEAK])],
        [helper.make_tensor_value_info("y", TensorProto.INT32, ["L", PEAK])],
        [numpy_helper.from_array(weight, "weight")],
    )
    session = open_graph(
        helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), threads
    )
    best = 0.0
    for rows in (256, 512, 1024):
        x = np.random.default_rng(1).integers(0, 256, (rows, PEAK)).astype(np.uint8)
        for _ in range(10):
            start = clock()
            session.run(None, {"x": x})
            best = max(best, 2 * rows * PEAK * PEAK / (clock() - start) / 1e9)
    return best


def int8_gop(config: EncoderConfig, length: int, labels: int, task: str) -> float:
    """Billions of operations in the products with weights, as far as the graph computes them for all tokens or one."""
    hidden, ffn = config.hidden, config.ffn
    pair, rest = (
        2 * hidden * hidden,
        2 * hidden * hidden + 2 * hidden * ffn,
    )  # keys and values; queries, output, ffn
    last = (
        rest if task == "classify" else rest * length
    )  # a classifier's last layer answers for one token
    blocks = config.layers * pair * length + (config.layers - 1) * rest * length + last
    ends = config.embedding * hidden * length if config.kind == "albert" else 0
    ends += hidden * hidden + hidden * labels if task == "classify" else hidden * labels * length
    return 2 * (blocks + ends) / 1e9


def fixed_lengths(
    preset: str, arguments: argparse.Namespace, dataset: Dataset, tokenizer: Tokenizer, peak: float
) -> dict[str, Any]:
    """Times of every contestant at every length, with file size, products and share of the peak."""
    labels = dataset.labels if arguments.task == "tag" else ("0", "1", "2")
    model = heads.build_model(PRESETS[preset], arguments.task, labels, seed=0).eval()
    calibration = inputs(dataset, tokenizer, 128)[:4]
    with tempfile.TemporaryDirectory() as folder:
        field = peers.contestants(
            model, tokenizer, Path(folder), threads=arguments.threads, calibration=calibration
        )
        file = Path(folder) / "destila-int8.onnx"
        found: dict[str, Any] = {
            "megabytes": file.stat().st_size / 1e6,
            "int8_products": count.count_products(file),
            "expected_products": count.expected(model.config, arguments.task),
            "expert_products": count.count_products(Path(folder) / "expert.onnx"),
            "bytes_over_formula": file.stat().st_size
            / count.bytes_formula(model.config, arguments.task, "int8-dynamic", len(labels)),
            "lengths": {},
        }
        for length in arguments.lengths:
            rows = inputs(dataset, tokenizer, length)
            _agree(field, rows[0])
            calls = {name: _call(run, rows) for name, run in field.items()}
            times = in_turns(calls, arguments.turns, CLOCKS[arguments.clock])
            medians = {name: float(np.median(values)) for name, values in times.items()}
            work = int8_gop(model.config, length, len(labels), arguments.task)
            found["lengths"][length] = {
                "median_ms": medians,
                "p95_ms": {
                    name: float(np.percentile(values, 95)) for name, values in times.items()
                },
                "achieved_over_peak": work / (medians["destila int8"] / 1000) / peak,
            }
    return found


def _call(run: peers.Run, rows: Sequence[np.ndarray]) -> Callable[[int], object]:
    return lambda i: run(rows[i % len(rows)])


def _agree(field: Mapping[str, peers.Run], ids: np.ndarray) -> None:
    """Refuses to time contestants that do not compute the same thing."""
    wanted = field["pytorch"](ids)
    for name, run in field.items():
        worst = float(np.abs(run(ids) - wanted).max() / np.abs(wanted).max())
        limit = 1e-4 if name.endswith("fp32") else 0.5  # 8 and 16 bits on random weights
        if not worst < limit:
            raise SystemExit(
                f"{name} differs from pytorch by {worst:.2g} of the largest value: not the same model"
            )


def against_beto(
    arguments: argparse.Namespace, dataset: Dataset, tokenizer: Tokenizer
) -> dict[str, Any]:
    """From sentence to labels: BETO in PyTorch and our int8 models, on the first test sentences."""
    examples = dataset.splits["test"][: arguments.sentences]
    calls: dict[str, Callable[[int], object]] = {}
    with tempfile.TemporaryDirectory() as folder:
        beto = heads.build_model(PRESETS["beto-cased"], "tag", dataset.labels, seed=0).eval()
        theirs = peers.transformers_model(beto, tokenizer, Path(folder) / "beto")

        def run_beto(ids: np.ndarray) -> np.ndarray:
            return peers.run_torch(theirs, ids)

        calls["beto pytorch"] = _whole(run_beto, examples, dataset.labels, tokenizer)
        calibration = inputs(dataset, tokenizer, 128)[:4]
        for preset in BETO:
            model = heads.build_model(PRESETS[preset], "tag", dataset.labels, seed=0).eval()
            (own := Path(folder) / preset).mkdir()
            with peers.quiet():
                field = peers.ours(model, own, threads=arguments.threads, calibration=calibration)
            calls |= {
                f"{preset}: {name}": _whole(run, examples, dataset.labels, tokenizer)
                for name, run in field.items()
                if "int8" in name
            }
        times = {
            name: values.reshape(-1)
            for name, values in _sentences(
                calls, len(examples), arguments.rounds, CLOCKS[arguments.clock]
            ).items()
        }
    medians = {name: float(np.median(values)) for name, values in times.items()}
    means = {name: float(values.mean()) for name, values in times.items()}
    ratio = {
        name: medians["beto pytorch"] / value
        for name, value in medians.items()
        if name != "beto pytorch"
    }
    return {"sentences": len(examples), "median_ms": medians, "mean_ms": means, "beto_over": ratio}


def _sentences(
    calls: Mapping[str, Callable[[int], object]], number: int, rounds: int, clock: Clock
) -> Times:
    """Milliseconds [rounds, number]: each contestant reads all sentences, in turn, after a warm-up."""
    found = {name: np.empty((rounds, number)) for name in calls}
    for turn in range(rounds):
        for name, call in calls.items():
            time.sleep(REST)
            _filled(call, WARM, 1, clock)
            for i in range(number):
                start = clock()
                call(i)
                found[name][turn, i] = (clock() - start) * 1000
    return found


def _whole(
    run: peers.Run, examples: Sequence[Example], labels: Sequence[str], tokenizer: Tokenizer
) -> Callable[[int], object]:
    """A sentence's way from words to labels: encode, run, gather words, decode."""

    def call(i: int) -> object:
        features = TASK.encode([examples[i]], tokenizer, labels, max_length=512).features
        rows = [run(f.input_ids[None].astype(np.int64))[0] for f in features]
        return TASK.decode([examples[i]], TASK.join_windows(features, rows), labels)

    return call


def batch_stable(
    preset: str, dataset: Dataset, tokenizer: Tokenizer, number: int
) -> dict[str, Any]:
    """Whether the per-text default gives the same bits in any order and company, on 1 and 2 threads."""
    model = heads.build_model(PRESETS[preset], "tag", dataset.labels, seed=0).eval()
    graph = int8.quantise(exporter.build_onnx(model, mask=False, types=False), kind="dynamic")
    features = TASK.encode(
        dataset.splits["test"][:number], tokenizer, dataset.labels, max_length=512
    ).features
    texts = [(f.input_ids, f.type_ids) for f in features]
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "model.onnx"
        file.write_bytes(graph.SerializeToString())
        stable = proof.stable(file, texts, kind="int8-dynamic")
    return {"preset": preset, "texts": len(texts), "stable": stable}


def main() -> None:
    """Run everything, print a table on standard error and one JSON object on standard output."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--turns", type=int, default=15)
    parser.add_argument(
        "--rounds", type=int, default=5, help="passes over the sentences against BETO"
    )
    parser.add_argument("--presets", default="albeto-tiny,albeto-base-6")
    parser.add_argument("--lengths", default="32,128,512")
    parser.add_argument("--task", default="tag", choices=("tag", "classify"))
    parser.add_argument("--quick", action="store_true", help="a smoke run of about a minute")
    parser.add_argument(
        "--clock",
        choices=tuple(CLOCKS),
        default="wall",
        help="cpu: processor time, for one thread on a busy machine",
    )
    parser.add_argument("--json", type=Path, help="also write the result to this file")
    arguments = parser.parse_args()
    arguments.lengths = [int(length) for length in arguments.lengths.split(",")]
    arguments.sentences, texts = SENTENCES, 1000
    if arguments.quick:
        arguments.presets, arguments.lengths, arguments.turns = "albeto-tiny", [32, 128], 3
        arguments.sentences, arguments.rounds, texts = 5, 1, 50
    if arguments.clock == "cpu" and arguments.threads != 1:
        parser.error("--clock cpu adds up the threads' time: use it with --threads 1")
    torch.set_num_threads(arguments.threads)
    module = plugins.find("datasets", "conll2002", "load")
    dataset = module.load(module.Options())
    tokenizer = tokenizers.load_tokenizer(Path(os.environ["DESTILA_MODELS"]) / "mini-es")
    peak = peak_gops(arguments.threads, CLOCKS[arguments.clock])
    result: dict[str, Any] = {
        "weights": "random, of the presets' shapes",
        "tokens": "CoNLL-2002 test, tokenizer mini-es",
        "task": arguments.task,
        "threads": arguments.threads,
        "clock": arguments.clock,
        "turns": arguments.turns,
        "peak_int8_gops": peak,
        "presets": {},
        "cpu": machine.cpu(),
        "instructions": machine.instructions(),
        "versions": machine.versions((*machine.PACKAGES, "onnx", "openvino", "nncf")),
    }
    for preset in arguments.presets.split(","):
        result["presets"][preset] = fixed_lengths(preset, arguments, dataset, tokenizer, peak)
        _print_times(preset, result["presets"][preset])
    result["beto"] = against_beto(arguments, dataset, tokenizer)
    result["stable"] = batch_stable("albeto-tiny", dataset, tokenizer, texts)
    result["bars"] = bars(result)
    for row in result["bars"]:
        print(
            f"{'met ' if row['met'] else 'MISS'}  {row['found']:8.3f}  ({row['wanted']})  {row['bar']}",
            file=sys.stderr,
        )
    if arguments.json:
        arguments.json.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    print(json.dumps(result))


def _print_times(preset: str, part: Mapping[str, Any]) -> None:
    lengths = list(part["lengths"])
    print(f"{preset}: milliseconds, median", *[f"{n:>8}" for n in lengths], file=sys.stderr)
    for name in part["lengths"][lengths[0]]["median_ms"]:
        values = [f"{part['lengths'][n]['median_ms'][name]:8.2f}" for n in lengths]
        print(f"  {name:28}", *values, file=sys.stderr)
    shares = [f"{part['lengths'][n]['achieved_over_peak']:8.2f}" for n in lengths]
    print(f"  {'int8 achieved over peak':28}", *shares, file=sys.stderr)


if __name__ == "__main__":
    main()
