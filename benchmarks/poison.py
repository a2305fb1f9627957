"""`destila predict` on many lines of which one in a hundred is bad: memory, answers, speed.

A clean file of JSON lines and the same file with poison in it (a word longer than any window, a
line that is no JSON, a null for a text, an object without one, half a character, a blank line, a
byte that is no UTF-8) are labelled in turns by a new process each, into a file. Every line must
have an answer in its place. Bars: the poisoned file at 95 % of the clean one's speed or more; peak
memory as for a tenth of the lines, within 5 %.

    python benchmarks/poison.py [--lines 1000000] [--model FOLDER] [--passes 1] [--threads 1]
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

SPEED, MEMORY = 0.95, 1.05
TEXTS = (
    "Ana Martín vive en Sevilla desde 1998.",
    "El Banco de España publicó ayer sus cuentas.",
    "Quiero cambiar la fecha de mi vuelo a Lima, por favor.",
    "Llovió toda la noche sobre los tejados viejos del pueblo.",
)
POISON = (
    json.dumps({"text": "Mira https://ejemplo.es/" + "a1b2c3" * 300 + " y dime."}).encode(),
    b'{"text": "sin cerrar',
    b'{"text": null}',
    b'{"texto": "otra clave"}',
    b'{"text": "media \\ud83d cara"}',
    b"",
    b'{"text": "a\xf1o en latin-1"}',
)
LABELS = ("O", "B-PER", "I-PER", "B-LOC", "I-LOC")


def main() -> None:
    """Print one JSON object: seconds, memory, and whether every line was answered."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--lines", type=int, default=1_000_000)
    parser.add_argument("--model", help="an exported tagger; none = albeto-tiny, random weights")
    parser.add_argument("--passes", type=int, default=1)
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        model = arguments.model
        if model is None:
            model = str(folder / "model")
            # In a process of its own: a child's peak memory begins at what its parent holds.
            code = f"import bulk, pathlib; bulk.export_tiny(pathlib.Path({model!r}), {LABELS})"
            place = Path(__file__).parent
            subprocess.run([sys.executable, "-c", code], check=True, cwd=place)

        write(folder / "clean.jsonl", arguments.lines, poison=False)
        write(folder / "poison.jsonl", arguments.lines, poison=True)
        write(folder / "tenth.jsonl", arguments.lines // 10, poison=True)
        runs: dict[str, list[dict[str, Any]]] = {"tenth": [], "clean": [], "poison": []}
        for _ in range(arguments.passes):
            for kind, done in runs.items():
                done.append(label(model, folder / f"{kind}.jsonl", arguments.threads))

    best = {kind: min(done, key=lambda run: run["cpu_seconds"]) for kind, done in runs.items()}
    speed = best["clean"]["cpu_seconds"] / best["poison"]["cpu_seconds"]
    memory = best["poison"]["peak_mb"] / best["tenth"]["peak_mb"]
    result = {
        "lines": arguments.lines,
        "model": arguments.model or "albeto-tiny, int8, random weights",
        "threads": arguments.threads,
        "runs": runs,
        "every_line_answered": all(run["in_place"] for done in runs.values() for run in done),
        "speed_of_clean": round(speed, 3),
        "memory_of_tenth": round(memory, 3),
        "bars": {"speed": SPEED, "memory": MEMORY},
        "load": os.getloadavg()[0],
    }
    print(json.dumps(result))


def write(path: Path, lines: int, *, poison: bool) -> None:
    """Write JSON lines, of which every hundredth is bad if there is to be poison."""
    clean = [json.dumps({"text": text}, ensure_ascii=False).encode() for text in TEXTS]
    with path.open("wb") as file:
        for number in range(lines):
            bad = poison and number % 100 == 50
            line = POISON[number // 100 % len(POISON)] if bad else clean[number % len(clean)]
            file.write(line + b"\n")


def label(model: str, file: Path, threads: int) -> dict[str, Any]:
    """Label a file in a new process; return its seconds, peak memory and whether all are there."""
    out = file.with_suffix(".answers.jsonl")
    command = ["predict", model, str(file), "--out", str(out), "--overwrite"]
    start = time.perf_counter()
    child = subprocess.Popen(
        [sys.executable, "-m", "destila", *command, "--threads", str(threads)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    _, status, usage = os.wait4(child.pid, 0)
    seconds = time.perf_counter() - start
    if status:
        raise SystemExit(f"predict failed on {file}")

    with file.open("rb") as asked, out.open("rb") as answers:
        ids = (json.loads(line)["id"] for line in answers)
        in_place = all(str(n) == name for n, (_, name) in enumerate(zip(asked, ids, strict=True)))
    return {
        "seconds": round(seconds, 2),
        "cpu_seconds": round(usage.ru_utime + usage.ru_stime, 2),
        "peak_mb": round(usage.ru_maxrss / 1024, 1),
        "in_place": in_place,
    }


if __name__ == "__main__":
    main()
