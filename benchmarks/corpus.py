"""Speed and memory of `destila corpus` beside raw batch encoding by `tokenizers` on all cores, in turns, on one text.

    python benchmarks/corpus.py [FILES] [--tokenizer mini-es] [--megabytes 300] [--repeats 2]

Takes equal parts of the files up to so many million characters, more of the others where one is
shorter. The contestant encodes the text's lines, already in memory, in batches of 10,000
(`encode_batch`, all threads) and keeps nothing; only that is timed. Ours is the whole command, from
the start of its process to the manifest. Memory is the largest sum, over the command's processes,
of their proportional share (PSS) and of resident pages (RSS, shared pages counted for each),
sampled 10 times a second. Processor seconds of both, all processes and threads, say the same where
other work shares the machine. At the end a run is killed halfway and started again; its files must
be those of the undisturbed run. Prints one JSON line. The bars: under 1 GB; ratio at least 0.7 with
exact and 0.45 with near-duplicate removal too; resumed to the same bytes.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import psutil

from destila import hub
from destila.corpus import shards
from destila.files import open_text
from destila.measuring import machine

_BATCH = 10_000
_PAUSE = 0.1
_WAYS = {
    "neither": ("exact=false", "near.use=false"),
    "exact": ("near.use=false",),
    "exact+near": (),
}
_ENCODE = """
import sys, time
from itertools import islice
from tokenizers import Tokenizer
tokenizer = Tokenizer.from_file(sys.argv[1])
lines = iter(open(sys.argv[2], encoding="utf-8").read().split("\\n"))
seconds = busy = 0.0
while batch := list(islice(lines, int(sys.argv[3]))):
    start, began = time.perf_counter(), time.process_time()
    tokenizer.encode_batch(batch, add_special_tokens=False)
    seconds, busy = seconds + time.perf_counter() - start, busy + time.process_time() - began
print(seconds, busy)
"""


@dataclass(frozen=True, slots=True)
class Turn:
    """What one run took: seconds by the clock and of all processors; peak memory in million bytes."""

    seconds: float
    cpu_seconds: float
    peak_pss_mb: float = 0.0
    peak_rss_mb: float = 0.0


def sample(files: list[str], characters: int, to: Path) -> int:
    """The characters written: equal parts of the files, more of the others where one is shorter."""
    total = 0
    with to.open("w", encoding="utf-8") as out:
        for number, file in enumerate(sorted(files, key=os.path.getsize)):
            part, share = 0, (characters - total) / (len(files) - number)
            for line in open_text(file):
                part += out.write(line + "\n")
                if part >= share:
                    break
            out.write("\n")
            total += part
    return total


def timed(command: list[str]) -> Turn:
    """What a command and its processes take; it must succeed."""
    start, before = time.perf_counter(), cpu_seconds()
    process = psutil.Popen(command, stdout=subprocess.DEVNULL)
    pss = rss = 0.0
    while process.poll() is None:
        found = memory(process)
        pss, rss = max(pss, found[0]), max(rss, found[1])
        time.sleep(_PAUSE)
    if process.returncode:
        sys.exit(f"failed: {' '.join(command)}")
    return Turn(time.perf_counter() - start, cpu_seconds() - before, pss / 1e6, rss / 1e6)


def cpu_seconds() -> float:
    """Processor seconds of all processes below this one that have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


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
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("files", nargs="*", help="none: corpus_es below DESTILA_DATA")
    parser.add_argument("--tokenizer", default="mini-es")
    parser.add_argument("--megabytes", type=float, default=300)
    parser.add_argument("--repeats", type=int, default=2)
    arguments = parser.parse_args()
    tokenizer = hub.resolve(arguments.tokenizer, what="tokenizer") / "tokenizer.json"
    with tempfile.TemporaryDirectory() as folder:
        text, out = Path(folder) / "text.txt", Path(folder) / "out"
        files = arguments.files or sorted(
            map(str, (Path(os.environ["DESTILA_DATA"]) / "corpus_es").glob("*.zst"))
        )
        characters = sample(files, int(arguments.megabytes * 1e6), text)
        raw: list[Turn] = []
        ours: dict[str, list[Turn]] = {way: [] for way in _WAYS}
        for _ in range(arguments.repeats):
            raw.append(encoding(tokenizer, text))
            for way in _WAYS:
                ours[way].append(timed(corpus(text, out, tokenizer, way)))
                whole = sums(out)
                shutil.rmtree(out)
        resumed = again(corpus(text, out, tokenizer, way), out, ours[way][-1].seconds / 2, whole)
    print(json.dumps(summary(characters, raw, ours) | {"resumed": resumed}))


def corpus(text: Path, out: Path, tokenizer: Path, way: str) -> list[str]:
    """The command of one way."""
    options = [word for setting in _WAYS[way] for word in ("--set", setting)]
    command = [sys.executable, "-m", "destila", "corpus", str(text), "--out", str(out), "--json"]
    return [*command, "--tokenizer", str(tokenizer), *options]


def again(
    command: list[str], out: Path, seconds: float, whole: dict[str, str]
) -> dict[str, object]:
    """Kills the command after some seconds and runs it again: pieces kept, seconds needed, whether files are the same."""
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    try:
        process.wait(seconds)
        sys.exit("the run that was to be killed came to its end")
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    kept = len(list(out.glob("work/*/*.npz")))
    turn = timed(command)
    return {"pieces_kept": kept, "seconds": turn.seconds, "identical": sums(out) == whole}


def sums(folder: Path) -> dict[str, str]:
    """The checksum of every file."""
    return {path.name: shards.checksum(path) for path in folder.iterdir()}


def encoding(tokenizer: Path, text: Path) -> Turn:
    """What raw batch encoding takes in a process of its own, with all threads."""
    command = [sys.executable, "-c", _ENCODE, str(tokenizer), str(text), str(_BATCH)]
    environment = os.environ | {"TOKENIZERS_PARALLELISM": "true"}
    said = subprocess.run(
        command, check=True, capture_output=True, text=True, env=environment
    ).stdout
    return Turn(*map(float, said.split()))


def summary(characters: int, raw: list[Turn], ours: dict[str, list[Turn]]) -> dict[str, object]:
    """Ratios of each turn and their median, memory, conditions."""
    ways = {}
    for way, turns in ours.items():
        ratios = [alone.seconds / turn.seconds for alone, turn in zip(raw, turns, strict=True)]
        ways[way] = {
            "turns": [asdict(turn) for turn in turns],
            "ratio_to_encoding": statistics.median(ratios),
            "cpu_ratio_to_encoding": sum(t.cpu_seconds for t in raw)
            / sum(t.cpu_seconds for t in turns),
            "ratios": ratios,
            "peak_pss_mb": max(turn.peak_pss_mb for turn in turns),
            "peak_rss_mb": max(turn.peak_rss_mb for turn in turns),
        }
    return {
        "characters": characters,
        "encoding": [{"seconds": turn.seconds, "cpu_seconds": turn.cpu_seconds} for turn in raw],
        "ours": ways,
        "cpu": machine.cpu(),
        "versions": machine.versions(),
    }


if __name__ == "__main__":
    main()
