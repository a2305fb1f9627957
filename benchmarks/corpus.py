"""Speed and memory of `destila corpus` beside raw batch encoding by `tokenizers` on all cores, in turns, on one text.

    python benchmarks/corpus.py [FILES] [--tokenizer mini-es] [--megabytes 300] [--repeats 2]

Takes equal parts of the files up to so many million characters. The contestant encodes the text's lines, already in
memory, in batches of 10,000 (`encode_batch`, all threads) and keeps nothing; only that is timed. Ours is the whole
command, from the start of its process to the manifest. Memory is the largest sum, over the command's processes, of
their proportional share (PSS) and of resident pages (RSS, shared pages counted for each), sampled 10 times a second.
Prints one JSON line. The bars: under 1 GB; ratio at least 0.7 with exact and 0.45 with near-duplicate removal too.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil

from destila import hub
from destila.measure import machine
from destila.text.files import open_text

_BATCH = 10_000
_PAUSE = 0.1
_WAYS = {"neither": ("exact=false", "near.use=false"), "exact": ("near.use=false",), "exact+near": ()}
_ENCODE = """
import sys, time
from itertools import islice
from tokenizers import Tokenizer
tokenizer = Tokenizer.from_file(sys.argv[1])
lines = iter(open(sys.argv[2], encoding="utf-8").read().split("\\n"))
seconds = 0.0
while batch := list(islice(lines, int(sys.argv[3]))):
    start = time.perf_counter()
    tokenizer.encode_batch(batch, add_special_tokens=False)
    seconds += time.perf_counter() - start
print(seconds)
"""


def sample(files: list[str], characters: int, to: Path) -> int:
    """The characters written: equal parts of the files, or all of a shorter one."""
    total = 0
    with to.open("w", encoding="utf-8") as out:
        for file in files:
            part = 0
            for line in open_text(file):
                part += out.write(line + "\n")
                if part >= characters / len(files):
                    break
            out.write("\n")
            total += part
    return total


def timed(command: list[str]) -> tuple[float, float, float]:
    """Seconds, peak PSS and peak RSS (million bytes) of a command and its processes; it must succeed."""
    start = time.perf_counter()
    process = psutil.Popen(command, stdout=subprocess.DEVNULL)
    pss = rss = 0.0
    while process.poll() is None:
        found = memory(process)
        pss, rss = max(pss, found[0]), max(rss, found[1])
        time.sleep(_PAUSE)
    if process.returncode:
        sys.exit(f"failed: {' '.join(command)}")
    return time.perf_counter() - start, pss / 1e6, rss / 1e6


def memory(process: psutil.Process) -> tuple[float, float]:
    """PSS and RSS, in bytes, of a process and those below it; one that ends meanwhile counts as nothing."""
    pss = rss = 0
    try:
        for one in (process, *process.children(recursive=True)):
            facts = one.memory_full_info()
            pss, rss = pss + facts.pss, rss + facts.rss
    except psutil.Error:
        return 0, 0
    return pss, rss


def main() -> None:
    """Sample, take turns, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", nargs="*", help="none: corpus_es below DESTILA_DATA")
    parser.add_argument("--tokenizer", default="mini-es")
    parser.add_argument("--megabytes", type=float, default=300)
    parser.add_argument("--repeats", type=int, default=2)
    arguments = parser.parse_args()
    tokenizer = hub.resolve(arguments.tokenizer, what="tokenizer") / "tokenizer.json"
    with tempfile.TemporaryDirectory() as folder:
        text, out = Path(folder) / "text.txt", Path(folder) / "out"
        files = arguments.files or sorted(map(str, (Path(os.environ["DESTILA_DATA"]) / "corpus_es").glob("*.zst")))
        characters = sample(files, int(arguments.megabytes * 1e6), text)
        raw: list[float] = []
        ours: dict[str, list[tuple[float, float, float]]] = {way: [] for way in _WAYS}
        for _ in range(arguments.repeats):
            raw.append(encoding(tokenizer, text))
            for way, sets in _WAYS.items():
                options = [word for setting in sets for word in ("--set", setting)]
                command = [sys.executable, "-m", "destila", "corpus", str(text), "--out", str(out), "--json"]
                ours[way].append(timed([*command, "--tokenizer", str(tokenizer), *options]))
                shutil.rmtree(out)
    print(json.dumps(summary(characters, raw, ours)))


def encoding(tokenizer: Path, text: Path) -> float:
    """Seconds that raw batch encoding takes in a process of its own, with all threads."""
    command = [sys.executable, "-c", _ENCODE, str(tokenizer), str(text), str(_BATCH)]
    environment = os.environ | {"TOKENIZERS_PARALLELISM": "true"}
    return float(subprocess.run(command, check=True, capture_output=True, text=True, env=environment).stdout)


def summary(characters: int, raw: list[float], ours: dict[str, list[tuple[float, float, float]]]) -> dict[str, object]:
    """Ratios of each turn and their median, memory, conditions."""
    ways = {}
    for way, turns in ours.items():
        ratios = [alone / turn[0] for alone, turn in zip(raw, turns, strict=True)]
        ways[way] = {
            "seconds": [turn[0] for turn in turns],
            "ratio_to_encoding": statistics.median(ratios),
            "ratios": ratios,
            "peak_pss_mb": max(turn[1] for turn in turns),
            "peak_rss_mb": max(turn[2] for turn in turns),
        }
    return {
        "characters": characters,
        "encoding_seconds": raw,
        "ours": ways,
        "cpu": machine.cpu(),
        "versions": machine.versions(),
    }


if __name__ == "__main__":
    main()
