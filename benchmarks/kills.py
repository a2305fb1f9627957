"""Kill or stop a command at many moments, start it again, and compare what it leaves to the byte.

    python benchmarks/kills.py --out /tmp/kills run cache export corpus pretrain tokenizer predict
    python benchmarks/kills.py --out /tmp/kills --signal TERM INT --moments 5

Every command is run undisturbed, which gives its files and the processor time that it takes. Then,
for each moment (evenly over that time, moved a little by the seed), it is started in a folder of
its own, killed there, and started again until it ends. A moment is passed when it then has the same
files with the same bytes, and nothing else: no temporary file, no state, no process. SIGTERM and
SIGINT must besides end with their exit code and one line, and without a traceback.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import random
import re
import shutil
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from kill_jobs import JOBS, RECIPE, WORDS, Job
from victims import Ended, Victim, warm

NOT_COMPARED = re.compile(r"(^|/)(\.lock|lock|environment\.json|report\.(md|html)|recipe\.toml)$")
"""Locks stay on purpose; what names the machine, times or the folder itself differs."""

TIMES = re.compile(
    rb'\\?"(seconds|peak_memory_bytes|load_ms|made)\\?": ?[-\d.e]+|"code": ?"[^"]*"'
    rb"|destila [0-9a-f]{12}(-dirty)?"
)
"""What differs from run to run: how long it took, with how much memory, by which commit."""

LEFT_OVER = re.compile(r"(\.tmp$|\.part$|\.part\.json$|\.partial|/work/|state\.safetensors$)")
"""Files that only a run under way may have."""


def main() -> None:
    """Try the jobs that were named; exit with 1 when a moment failed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("jobs", nargs="*", metavar="JOB", help=", ".join(JOBS))
    parser.add_argument("--out", type=Path, required=True, help="folder to work in")
    parser.add_argument("--moments", type=int, default=20)
    parser.add_argument("--signal", nargs="+", choices=("KILL", "TERM", "INT"), default=["KILL"])
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--at-progress", action="store_true", help="stop once each, when it first says where it is"
    )
    arguments = parser.parse_args()

    # What several jobs need is made once: texts, a tokenizer, a trained model.
    arguments.out = arguments.out.absolute()
    shared = arguments.out / "shared"
    prepare_shared(shared)

    failed = 0
    warm(shared)
    try_one = stop_once if arguments.at_progress else try_job
    for name in arguments.jobs or JOBS:
        for row in try_one(name, shared, arguments):
            failed += row["moments"] - row["passed"]
            sys.stdout.write(json.dumps(row, ensure_ascii=False) + "\n")
            sys.stdout.flush()
    sys.exit(1 if failed else 0)


def try_job(name: str, shared: Path, arguments: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """Yield for each signal how many moments of a job were passed, and what was wrong otherwise."""
    job, calm = JOBS[name], arguments.out / name / "calm"

    # Undisturbed, three times: the first one imports, the least of the others is the job's time.
    run(job, fresh(calm, job, shared))
    warm(calm)
    seconds = min(run(job, fresh(calm, job, shared)).seconds for _ in range(2))
    wanted = contents(calm, job)
    assert wanted, f"{name} leaves nothing to compare"

    for sign in arguments.signal:
        number, chance = getattr(signal, f"SIG{sign}"), random.Random(f"{name} {arguments.seed}")
        started, problems, stopped = time.monotonic(), [], 0
        for moment in range(arguments.moments):
            share = (moment + chance.random()) / arguments.moments
            folder = arguments.out / name / "rough"
            told = disturb(job, folder, shared, share * seconds, number)
            stopped += told is not None

            wrong = wrong_end(told, number) if told and number != signal.SIGKILL else []
            run(job, folder)
            wrong += compare(wanted, contents(folder, job))
            problems += [f"moment {moment}, {share:.2f} of the time: {each}" for each in wrong]
            sys.stderr.write(f"{name} {sign} {moment} {share:.2f} {wrong or 'passed'}\n")
        bad = len({problem.split(",")[0] for problem in problems})
        yield {
            "job": name,
            "signal": sign,
            "cpu_seconds": round(seconds, 2),
            "moments": arguments.moments,
            "stopped": stopped,
            "passed": arguments.moments - bad,
            "files": len(wanted),
            "took": round(time.monotonic() - started),
            "problems": problems[:10],
        }


def stop_once(name: str, shared: Path, arguments: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """Yield for each signal how a command ended that got it when it first told of its progress."""
    for sign in arguments.signal:
        number = getattr(signal, f"SIG{sign}")
        victim = Victim(JOBS[name].words, fresh(arguments.out / name / "once", JOBS[name], shared))
        told = victim.stop_at_progress(number)
        ended, left = victim.wait(), victim.left()

        problems = [f"left: {each}" for each in left] + wrong_end(ended, number)
        if not told or ended.code != 128 + number:
            problems.append(f"told: {told}, exit code {ended.code}")
        last = ended.err.strip().splitlines()[-1:]
        yield {
            "job": name,
            "signal": sign,
            "moments": 1,
            "passed": 0 if problems else 1,
            "line": "".join(last),
            "problems": problems,
        }


def disturb(job: Job, folder: Path, shared: Path, after: float, number: int) -> Ended | None:
    """Start a job in a folder made anew, stop it after so much processor time, return its end.

    A command that is faster this time is tried again, and stopped earlier. None: it cannot be
    stopped.
    """
    for _ in range(20):
        victim = Victim(job.words, fresh(folder, job, shared))
        stopped = victim.stop_after(after, number)
        ended = victim.wait()
        if stopped:
            # A killed process's children may outlive the new start; a stopped one ends its own.
            left = victim.left() if number != signal.SIGKILL else []
            assert not left, f"{job.words}: {left} goes on after its parent"
            return ended
        assert ended.code == 0, ended.err
        after *= 0.9
    return None


def wrong_end(ended: Ended, number: int) -> list[str]:
    """Return what is wrong with the way in which a command was stopped by a signal."""
    # Before it has come to install its handlers, the system's own end is all there can be; and a
    # signal behind its last act finds it done.
    if ended.code in (-number, 0):
        return []
    problems = []
    if ended.code != 128 + number:
        problems.append(f"exit code {ended.code}: {ended.err[-200:]}")
    last = ended.err.strip().splitlines()[-1:] or [""]
    if not last[0].startswith("stopped"):
        problems.append(f"last line {last[0]!r}")
    if "Traceback" in ended.err or "resource_tracker" in ended.err:
        problems.append(f"traceback or warning: {ended.err[-300:]}")
    return problems


def run(job: Job, folder: Path) -> Ended:
    """Run a job to its end."""
    victim = Victim(job.words, folder)
    ended, left = victim.wait(), victim.left()
    assert ended.code == 0, f"{job.words}: {ended.err[-2000:]}"
    assert not left, f"{job.words} left {left}"
    return ended


def fresh(folder: Path, job: Job, shared: Path) -> Path:
    """Return an empty folder that was prepared for a job."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    job.prepare(folder, shared)
    return folder


def contents(folder: Path, job: Job) -> dict[str, str]:
    """Return a digest of every file that a job has left, by its path."""
    files = {}
    for output in job.outputs:
        place = folder / output
        paths = place.rglob("*") if place.is_dir() else [place]
        beside = place.parent.glob(f".{place.name}*")
        for path in sorted({*paths, *beside}):
            name = str(path.relative_to(folder))
            if path.is_file() and not NOT_COMPARED.search(name):
                files[name] = digest(path)
    return files


def digest(path: Path) -> str:
    """Return a digest of a file, without the times in it."""
    data = path.read_bytes()
    if path.suffix in (".json", ".jsonl", ".md"):
        data = TIMES.sub(b"", data)
    elif path.suffix == ".safetensors":  # eight bytes: the length of the header, in JSON
        head = 8 + int.from_bytes(data[:8], "little")
        data = TIMES.sub(b"", data[8:head]).rstrip() + data[head:]
    return hashlib.blake2b(data, digest_size=8).hexdigest()


def compare(wanted: dict[str, str], there: dict[str, str]) -> list[str]:
    """Return every file that differs, is missing or is left over."""
    # The rows of a cache may lie in other chunks of its index; their order is the same.
    problems = [f"left over: {name}" for name in there if LEFT_OVER.search(name)]
    for name in sorted(wanted.keys() | there.keys()):
        if name.endswith("index.bin") or LEFT_OVER.search(name):
            continue
        if wanted.get(name) != there.get(name):
            how = "missing" if name not in there else "new" if name not in wanted else "differs"
            problems.append(f"{how}: {name}")
    return problems


def destila(folder: Path, *words: str) -> None:
    """Run a command to its end, as preparation."""
    run(Job(words, lambda *_: None, ()), folder)


def prepare_shared(shared: Path) -> None:
    """Make the texts, the tokenizer and the study that several jobs start from."""
    if (shared / "runs" / "study" / "report.md").exists() and (shared / "tok").exists():
        return
    shared.mkdir(parents=True, exist_ok=True)
    words = WORDS.split()
    chance = random.Random(0)
    lines = []
    for i in range(1500):
        lines.append(" ".join(chance.choices(words, k=12)) + f" {i}.")
        if i % 5 == 4:
            lines.append("")
    (shared / "text.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
    texts = [line for line in lines if line][:600]
    (shared / "new.txt").write_text("\n".join(texts) + "\n", encoding="utf-8")
    (shared / "study.toml").write_text(RECIPE, encoding="utf-8")
    destila(shared, "tokenizer", "text.txt", "--out", "tok", "--vocab-size", "500")
    destila(shared, "run", "study.toml")


if __name__ == "__main__":
    main()
