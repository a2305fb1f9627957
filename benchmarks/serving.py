"""The server under load, against a plain FastAPI application over a transformers pipeline.

Both serve a classifier of the same shape with random weights, ours exported to int8, on the same
processors, and are asked about the sentences of CoNLL-2002's test part, one a request, over 1, 8
and 64 connections, by a client that runs on these processors too. In turn with the requests over
HTTP the same texts are labelled in one Python process: what of its throughput is left is the price
of the server, client included; `by_server_cpu` counts the server's own processor time alone. Ours
is also asked in lists of 32, and over 64 connections at half of the load that it can bear: its p99
there, and under full load (64 requests that always wait), is compared with its p50 there.

    python benchmarks/serving.py --tokenizer FOLDER [--preset albeto-tiny] [--requests 3000]
    python benchmarks/serving.py --tokenizer FOLDER --soak 100000
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil

from destila import cpu, plugins
from destila.inference.labeller import Labeller
from destila.measuring import machine

HERE = Path(__file__).parent
LIST = 32
TEXTS = 500


def make_models(preset: str, tokenizer: Path, place: Path) -> tuple[Path, Path]:
    """An exported folder with random weights, and the same weights as a folder of transformers."""
    import onnx

    from destila.exporting import int8
    from destila.exporting import onnx as fp32
    from destila.models import hf, store
    from destila.tokenizer.tokenizer import load_tokenizer

    reads = load_tokenizer(tokenizer)
    labels = ("negativo", "neutro", "positivo")
    model = hf.load(preset, tokenizer=reads, task="classify", labels=labels, seed=0).model.eval()
    ours, theirs = place / "ours", place / "theirs"
    store.save_model(model, reads, theirs, extra={"max_length": 512})
    ours.mkdir()
    store.write_description(model, reads, ours, {"max_length": 512})
    graph = int8.quantise(fp32.build_onnx(model, mask=False), kind="dynamic")
    onnx.save(graph, str(ours / "model.onnx"))
    return ours, theirs


@contextmanager
def running(command: list[str], port: int, path: str, **environment: str) -> Iterator[Any]:
    """Run a server until the block ends; yield its process, with `cold_start_seconds`."""
    begin = time.perf_counter()
    process = psutil.Popen(
        command, env=os.environ | environment, cwd=HERE, stderr=subprocess.DEVNULL
    )
    try:
        while True:
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{port}{path}").read()
                break
            except urllib.error.HTTPError:
                break
            except OSError:
                if process.poll() is not None or time.perf_counter() - begin > 120:
                    raise SystemExit(f"{command} does not start") from None
                time.sleep(0.005)
        process.cold_start_seconds = time.perf_counter() - begin
        yield process
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(60)


def load(process: Any, port: int, path: str, bodies: Path, **options: Any) -> dict[str, Any]:
    """What a load of requests took, with the server's processor time of a request."""
    command = [sys.executable, str(HERE / "serving_client.py"), str(port), path, str(bodies)]
    for name, value in options.items():
        command += [f"--{name}", str(value)]
    before = sum(process.cpu_times()[:2])
    result = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    result["server_cpu_ms"] = 1000 * (sum(process.cpu_times()[:2]) - before) / result["requests"]
    return result


def in_process(folder: Path, texts: list[str], count: int) -> dict[str, float]:
    """Texts per second of the same model in one Python process, and its processor time of a text."""
    labeller = Labeller(folder)
    asked = (texts * (count // len(texts) + 1))[:count]
    list(labeller.answers(asked[:200]))
    begin, used = time.perf_counter(), time.process_time()
    for _ in labeller.answers(asked):
        pass
    seconds, used = time.perf_counter() - begin, time.process_time() - used
    return {"texts_per_second": count / seconds, "cpu_ms": 1000 * used / count}


def write(place: Path, rows: list[Any]) -> Path:
    """A file with a JSON value per line."""
    place.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))
    return place


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        return listening.getsockname()[1]


def compare(
    ours: Path, theirs: Path, texts: list[str], place: Path, requests: int
) -> dict[str, Any]:
    """Both servers at 1, 8 and 64 connections."""
    rows = [{"id": str(i), "text": t} for i, t in enumerate(texts)]
    one = write(place / "one.jsonl", rows)
    expected = write(
        place / "expected.jsonl",
        [answer.to_dict() for answer in Labeller(ours).answers(rows)],
    )
    lists = write(
        place / "lists.jsonl", [texts[i : i + LIST] for i in range(0, len(texts) - LIST, LIST)]
    )
    result: dict[str, Any] = {"in_process": in_process(ours, texts, requests)}

    port, path = free_port(), "/v1/models/ours/predict"
    command = [sys.executable, "-m", "destila", "serve", str(ours), "--port", str(port)]
    with running(command, port, "/ready") as process:
        result["cold_start_seconds"] = process.cold_start_seconds
        load(process, port, path, one, connections=8, requests=300)  # warm
        for connections in (1, 8, 64):
            result[f"destila, {connections}"] = load(
                process,
                port,
                path,
                one,
                connections=connections,
                requests=requests,
                expected=expected,
            )
        result["in_process_again"] = in_process(ours, texts, requests)
        result[f"destila, 8, lists of {LIST}"] = load(
            process, port, path, lists, connections=8, requests=requests // LIST
        )
        half = result["destila, 64"]["requests_per_second"] / 2
        result["destila, 64, half load"] = load(
            process, port, path, one, connections=64, requests=requests // 2, rate=half
        )

    port = free_port()
    command = [sys.executable, "-m", "uvicorn", "serving_peer:app", "--port", str(port)]
    command += ["--log-level", "warning"]
    with running(command, port, "/", MODEL=str(theirs)) as process:
        load(process, port, "/predict", one, connections=8, requests=100)
        for connections in (1, 8, 64):
            result[f"fastapi + transformers, {connections}"] = load(
                process, port, "/predict", one, connections=connections, requests=requests // 4
            )

    # The shares of the goals.
    alone = (
        result["in_process"]["texts_per_second"] + result["in_process_again"]["texts_per_second"]
    ) / 2
    cpu_ms = (result["in_process"]["cpu_ms"] + result["in_process_again"]["cpu_ms"]) / 2
    many = result[f"destila, 8, lists of {LIST}"]
    result["share"] = {
        "one a request": result["destila, 8"]["requests_per_second"] / alone,
        "one a request, by_server_cpu": cpu_ms / result["destila, 8"]["server_cpu_ms"],
        f"lists of {LIST}": many["requests_per_second"] * LIST / alone,
        f"lists of {LIST}, by_server_cpu": cpu_ms / (many["server_cpu_ms"] / LIST),
    }
    half_load = result["destila, 64, half load"]
    result["p99_by_p50_at_half"] = half_load["p99_ms"] / half_load["p50_ms"]
    result["p99_at_64_by_p50_at_half"] = result["destila, 64"]["p99_ms"] / half_load["p50_ms"]
    return result


def soak(ours: Path, texts: list[str], place: Path, requests: int) -> dict[str, Any]:
    """Memory of the server every tenth of many requests, each answer compared byte by byte."""
    rows = [{"id": str(i), "text": t} for i, t in enumerate(texts)]
    one = write(place / "one.jsonl", rows)
    expected = write(
        place / "expected.jsonl", [answer.to_dict() for answer in Labeller(ours).answers(rows)]
    )
    port, path = free_port(), "/v1/models/ours/predict"
    command = [sys.executable, "-m", "destila", "serve", str(ours), "--port", str(port)]
    megabytes, wrong = [], 0
    with running(command, port, "/ready") as process:
        # What is allocated once is there after the first tenth.
        for _ in range(10):
            part = load(
                process, port, path, one, connections=16, requests=requests // 10, expected=expected
            )
            assert part["statuses"] == {"200": requests // 10}, part
            wrong += part["wrong"]
            megabytes.append(process.memory_info().rss / 1e6)
    growth = megabytes[-1] / megabytes[0] - 1
    return {"requests": requests, "wrong": wrong, "megabytes": megabytes, "growth": growth}


def main() -> None:
    """Measure and print one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tokenizer", type=Path, required=True)
    parser.add_argument("--preset", default="albeto-tiny")
    parser.add_argument("--requests", type=int, default=3000)
    parser.add_argument("--soak", type=int)
    arguments = parser.parse_args()

    module = plugins.find("datasets", "conll2002", "load")
    test = module.load(module.Options()).splits["test"]
    texts = [example.text for example in test[:TEXTS]]
    with tempfile.TemporaryDirectory() as name:
        place = Path(name)
        ours, theirs = make_models(arguments.preset, arguments.tokenizer, place)
        if arguments.soak:
            result = soak(ours, texts, place, arguments.soak)
        else:
            result = compare(ours, theirs, texts, place, arguments.requests)
    conditions = {"cpu": machine.cpu(), "threads": cpu.available(), "versions": machine.versions()}
    print(json.dumps({"preset": arguments.preset, **result, **conditions}, indent=2))


if __name__ == "__main__":
    main()
