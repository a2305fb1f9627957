"""Start of an exported model without torch: time from a new process to its first prediction, memory, install size.

Bars: ALBETO tiny in int8 in 0.6 s and 150 MB of resident memory; 250 MB for the core install. The
model is an exported folder, or ALBETO tiny with random weights and a tokenizer that is given
(weights do not change the cost, the size of the vocabulary does). Starts through Python, starts
through the command line and an empty process take turns. With --install the package and its core
dependencies go into a new virtual environment, and everything is measured with its Python, where
torch is missing.

    python benchmarks/cold_start.py FOLDER [--repeats 11] [--install]
    python benchmarks/cold_start.py --tokenizer FOLDER
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

from destila.measuring import machine, memory

ROOT = Path(__file__).parents[1]
TEXT = "María García trabaja en el Banco de España, en Sevilla, desde 1998."
SAY = "import time; print('at', time.monotonic())"
STARTS = {
    "empty": SAY,
    "python": f"import sys, destila; destila.load(sys.argv[1]).predict({TEXT!r}); {SAY}",
    "command": f"""
import atexit, sys
folder = sys.argv[1]
sys.argv = ["destila", "predict", folder, "--text", {TEXT!r}]
from destila.cli import main
atexit.register(lambda: exec({SAY!r}))
main()
""",
}


def start(python: str, kind: str, folder: Path) -> float:
    """Seconds from before the process to its answer; the clock is the system's, the same in both processes."""
    before = time.monotonic()
    done = subprocess.run(
        [python, "-c", STARTS[kind], str(folder)],
        capture_output=True,
        text=True,
        check=True,
        cwd=folder,
    )
    return float(done.stdout.split()[-1]) - before


def tiny(tokenizer: Path, place: Path) -> Path:
    """An exported folder of ALBETO tiny in int8 with random weights."""
    import onnx

    from destila.exporting import int8
    from destila.exporting import onnx as fp32
    from destila.models import hf, store
    from destila.tokenizer.tokenizer import load_tokenizer

    reads = load_tokenizer(tokenizer)
    model = hf.load(
        "albeto-tiny", tokenizer=reads, task="tag", labels=("O", "B-PER", "I-PER")
    ).model.eval()
    store.write_description(model, reads, place, {"max_length": 128})
    onnx.save(
        int8.quantise(fp32.build_onnx(model, mask=False), kind="dynamic"), str(place / "model.onnx")
    )
    return place


def installed(place: Path) -> tuple[str, dict[str, float]]:
    """The Python of a new environment with the core install, and megabytes: all of it, and what it added."""
    subprocess.run([sys.executable, "-m", "venv", str(place)], check=True)
    python = str(place / "bin" / "python")
    empty = _megabytes(place)
    command = [
        python,
        "-m",
        "pip",
        "install",
        "--quiet",
        "-c",
        str(ROOT / "constraints.txt"),
        str(ROOT),
    ]
    subprocess.run(command, check=True)
    missing = (
        subprocess.run([python, "-c", "import torch"], capture_output=True, check=False).returncode
        != 0
    )
    if not missing:
        raise SystemExit("the core install has torch")
    return python, {"environment_mb": _megabytes(place), "added_mb": _megabytes(place) - empty}


def _megabytes(place: Path) -> float:
    return (
        int(
            subprocess.run(
                ["du", "-sk", str(place)], capture_output=True, text=True, check=True
            ).stdout.split()[0]
        )
        / 1024
    )


def main() -> None:
    """Measure and print one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", nargs="?", type=Path)
    parser.add_argument("--tokenizer", type=Path)
    parser.add_argument("--repeats", type=int, default=11)
    parser.add_argument("--install", action="store_true")
    arguments = parser.parse_args()
    if (arguments.folder is None) == (arguments.tokenizer is None):
        parser.error("give an exported folder or --tokenizer")
    with tempfile.TemporaryDirectory() as place:
        (Path(place) / "tiny").mkdir()
        folder = arguments.folder or tiny(arguments.tokenizer, Path(place) / "tiny")
        folder = folder.resolve()
        python, install = (
            installed(Path(place) / "core") if arguments.install else (sys.executable, {})
        )
        times: dict[str, list[float]] = {kind: [] for kind in STARTS}
        for repeat in range(arguments.repeats + 1):
            for kind, found in times.items():
                seconds = start(python, kind, folder)
                if repeat:  # the first round fills the system's file cache
                    found.append(seconds)
        peaks = {
            kind: memory.peak_of([python, "-c", code, str(folder)]) or 0
            for kind, code in STARTS.items()
        }
        result = {
            "graph_bytes": (folder / "model.onnx").stat().st_size,
            "seconds": {
                kind: {"median": median(found), "best": min(found)} for kind, found in times.items()
            },
            "peak_mb": {kind: peak / 2**20 for kind, peak in peaks.items()},
            "install": install,
            "repeats": arguments.repeats,
            "cpu": machine.cpu(),
            "versions": machine.versions(),
        }
    print(json.dumps(result, ensure_ascii=False, indent=2))


if __name__ == "__main__":
    main()
